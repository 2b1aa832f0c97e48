#include "base/file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/write.h"

namespace sable {

Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max) {
  // O_NONBLOCK so that a FIFO in the file's place cannot hold us; it is refused below.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    const int error = errno;
    if (error == ENOENT) return fail(ErrorCode::not_found, path.string() + ": no such file");
    return fail_errno(path.string(), error);
  }
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return fail_errno(path.string(), errno);
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_input, path.string() + ": not a regular file");
  }
  std::string content;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno(path.string(), errno);
    }
    if (n == 0) return content;
    if (content.size() + static_cast<size_t>(n) > bytes_max) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: larger than {} bytes", path.string(), bytes_max));
    }
    content.append(buffer, static_cast<size_t>(n));
  }
}

Result<void> write_all(int fd, std::string_view bytes) {
  const int error = write_all_or_errno(fd, bytes);
  if (error != 0) return fail_errno("write", error);
  return {};
}

UniqueFd lock_folder(const std::filesystem::path& folder) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.reset();
  return fd;
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                   unsigned mode) {
  auto folder = path.parent_path();
  if (folder.empty()) folder = ".";
  std::string temporary = (folder / ("." + path.filename().string() + ".XXXXXX")).string();
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail_errno(temporary, errno);
  const auto discard = [&](tl::unexpected<Error> error) {
    ::unlink(temporary.c_str());
    return error;
  };
  if (auto written = write_all(fd.get(), content); !written) {
    return discard(fail_in(path.string(), written.error()));
  }
  if (::fchmod(fd.get(), mode) != 0) return discard(fail_errno(path.string(), errno));
  if (::fsync(fd.get()) != 0) return discard(fail_errno(path.string() + ": fsync", errno));
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return discard(fail_errno(path.string() + ": rename", errno));
  }
  UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) {
    return fail_errno(folder.string() + ": fsync", errno);
  }
  return {};
}

}  // namespace sable
