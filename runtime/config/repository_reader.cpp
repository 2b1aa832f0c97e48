#include "runtime/config/repository_reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/folder_stream.h"
#include "base/text.h"
#include "runtime/config/one_line.h"

namespace sable::runtime::config {

namespace {}  // namespace

Result<RepositoryReader> RepositoryReader::open(const std::filesystem::path& repository) {
  const auto shown = escape_controls(repository.string());
  std::error_code error;
  auto root = std::filesystem::canonical(repository, error);
  if (error == std::errc::no_such_file_or_directory) {
    return fail(ErrorCode::not_found, shown + ": no such folder");
  }
  if (error) return fail_errno(shown, error.value());
  UniqueFd folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    const int number = errno;
    if (number == ENOTDIR) return fail(ErrorCode::invalid_input, shown + ": not a folder");
    return fail_errno(shown, number);
  }
  return RepositoryReader(std::move(folder), std::move(root));
}

std::string RepositoryReader::shown(std::string_view relative) const {
  return escape_controls((root_ / relative).string());
}

Result<std::optional<UniqueFd>> RepositoryReader::open_below(std::string_view relative,
                                                             int flags) const {
  const std::string path(relative);
  open_how how{};
  // O_NONBLOCK so that a FIFO cannot hold us; what is not a plain file is refused after.
  how.flags = static_cast<uint64_t>(flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd;
  // EAGAIN: something was renamed while the kernel looked, and nothing was opened.
  for (int attempt = 0; attempt < 100; ++attempt) {
    fd = UniqueFd(
        static_cast<int>(::syscall(SYS_openat2, folder_.get(), path.c_str(), &how, sizeof how)));
    if (fd || (errno != EINTR && errno != EAGAIN)) break;
  }
  if (fd) return std::optional<UniqueFd>(std::move(fd));
  const int number = errno;
  if (number == ENOENT) return std::optional<UniqueFd>();
  if (number == ELOOP) {
    return fail(ErrorCode::denied, shown(relative) +
                                       ": a symbolic link; what a repository brings must be plain "
                                       "files and folders");
  }
  return fail_errno(shown(relative), number);
}

Result<std::optional<std::string>> RepositoryReader::read(std::string_view relative,
                                                          size_t bytes_max) const {
  SABLE_TRY(auto fd, open_below(relative, 0));
  if (!fd) return std::optional<std::string>();
  struct stat info;
  if (::fstat(fd->get(), &info) != 0) return fail_errno(shown(relative), errno);
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_input, shown(relative) + ": not a regular file");
  }
  std::string content;
  char buffer[1 << 14];
  while (true) {
    const ssize_t n = ::read(fd->get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(shown(relative), errno);
    if (n == 0) return std::optional<std::string>(std::move(content));
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > bytes_max) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: larger than {} bytes", shown(relative), bytes_max));
    }
  }
}

Result<std::optional<std::vector<RepositoryReader::Entry>>> RepositoryReader::list(
    std::string_view relative, size_t entries_max) const {
  SABLE_TRY(auto fd, open_below(relative, O_DIRECTORY));
  if (!fd) return std::optional<std::vector<Entry>>();
  FolderStream folder(std::move(*fd));
  if (!folder) return fail_errno(shown(relative), errno);
  std::vector<Entry> entries;
  while (true) {
    const dirent* entry = folder.next();
    if (entry == nullptr && errno != 0) return fail_errno(shown(relative), errno);
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    const std::string path = std::string(relative) + "/" + name;
    if (entries.size() == entries_max) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: more than {} entries", shown(relative), entries_max));
    }
    // A name with a line break could pass for two in a list that a person is asked to accept.
    if (escape_controls(name) != name || name.find_first_of("\n\t") != std::string::npos) {
      return fail(ErrorCode::invalid_input,
                  one_line((root_ / path).string()) +
                      ": its name is not valid UTF-8 or has control characters");
    }
    struct stat info;
    if (::fstatat(folder.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return fail_errno(shown(path), errno);
    }
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
      return fail(
          ErrorCode::denied,
          shown(path) + ": neither a plain file nor a folder; a repository may bring only those");
    }
    entries.push_back({.name = name, .is_folder = S_ISDIR(info.st_mode)});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return std::optional<std::vector<Entry>>(std::move(entries));
}

}  // namespace sable::runtime::config
