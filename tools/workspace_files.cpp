#include "tools/workspace_files.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/folder_stream.h"
#include "base/text.h"
#include "tools/beneath.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

std::string_view kind_name(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder; use list_files";
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

bool is_same_or_below(std::string_view place, std::string_view folder) {
  if (folder == "." || place == folder) return true;
  return place.size() > folder.size() && place.starts_with(folder) && place[folder.size()] == '/';
}

Result<std::string> read_rest(int fd, const std::string& name, size_t bytes_max) {
  std::string content;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno(name, errno);
    }
    if (n == 0) return content;
    if (content.size() + static_cast<size_t>(n) > bytes_max) {
      return fail(ErrorCode::exhausted, fmt::format("{}: larger than {} bytes", name, bytes_max));
    }
    content.append(buffer, static_cast<size_t>(n));
  }
}

FolderEntry entry_of(int folder, const dirent& found) {
  FolderEntry entry{.name = found.d_name};
  struct stat info;
  if (::fstatat(folder, found.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return entry;
  if (S_ISREG(info.st_mode)) entry.kind = FolderEntry::Kind::file;
  if (S_ISDIR(info.st_mode)) entry.kind = FolderEntry::Kind::folder;
  if (S_ISLNK(info.st_mode)) {
    entry.kind = FolderEntry::Kind::link;
    char target[1024];
    const ssize_t n = ::readlinkat(folder, found.d_name, target, sizeof target);
    if (n > 0) entry.target.assign(target, static_cast<size_t>(n));
  }
  return entry;
}

}  // namespace

Result<WorkspaceFiles> WorkspaceFiles::open(const std::filesystem::path& root,
                                            const sandbox::Policy& policy, bool writable) {
  WorkspaceFiles files;
  files.root_ = UniqueFd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!files.root_) return fail_errno(shown_path(root.string()), errno);
  files.root_path_ = root.string();
  files.writable_ = writable;
  files.protection_ = std::make_unique<sandbox::Protection>(root);
  // Fails here, with a name, on a kernel without openat2(2).
  SABLE_TRY([[maybe_unused]] const auto probe, open_beneath(files.root_.get(), ".", O_PATH));
  for (const auto& mask : policy.masked) {
    std::error_code error;
    auto real = std::filesystem::weakly_canonical(mask, error);
    if (error) real = mask;
    const auto place = real.lexically_relative(root).string();
    if (!place.empty() && !place.starts_with("..")) files.masked_.push_back(place);
  }
  return files;
}

std::string WorkspaceFiles::relative(std::string_view path) const {
  // A model often names files by their whole path; below the root that is the same file.
  const std::string prefix = root_path_ == "/" ? "/" : root_path_ + "/";
  if (path == root_path_ || path == prefix) return ".";
  if (path.starts_with(prefix)) path.remove_prefix(prefix.size());
  while (path.starts_with("./") && path.size() > 2) path.remove_prefix(2);
  return path.empty() ? "." : std::string(path);
}

Result<void> WorkspaceFiles::check_visible(const std::string& place) const {
  for (const auto& mask : masked_) {
    if (is_same_or_below(place, mask)) {
      return fail(ErrorCode::denied, shown_path(place) + ": hidden by this session's policy");
    }
  }
  return {};
}

Result<OpenedFile> WorkspaceFiles::open_file(std::string_view path) const {
  const std::string name = relative(path);
  // First a handle that cannot block, wake a FIFO's writer or touch a device; then, when it is a
  // regular file, that very file for reading.
  SABLE_TRY(const UniqueFd handle, open_beneath(root_.get(), name, O_PATH));
  struct stat info;
  if (::fstat(handle.get(), &info) != 0) return fail_errno(shown_path(path), errno);
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_input, fmt::format("{}: not a regular file but {}",
                                                      shown_path(path), kind_name(info.st_mode)));
  }
  SABLE_TRY(std::string place, place_beneath(root_.get(), handle.get()));
  SABLE_TRY_VOID(check_visible(place));
  const auto link = fmt::format("/proc/self/fd/{}", handle.get());
  UniqueFd fd(::open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    if (errno == EACCES) return fail(ErrorCode::denied, shown_path(path) + ": permission denied");
    return fail_errno(shown_path(path), errno);
  }
  return OpenedFile{.fd = std::move(fd),
                    .place = std::move(place),
                    .bytes = static_cast<uint64_t>(info.st_size),
                    .mode = info.st_mode & 07777u};
}

Result<LoadedFile> WorkspaceFiles::load(std::string_view path, size_t bytes_max) const {
  SABLE_TRY(const OpenedFile file, open_file(path));
  SABLE_TRY(std::string content, read_rest(file.fd.get(), shown_path(path), bytes_max));
  const Digest digest = sha256(content);
  return LoadedFile{.place = file.place, .content = std::move(content), .digest = digest};
}

Result<UniqueFd> WorkspaceFiles::open_folder(std::string_view path) const {
  SABLE_TRY(UniqueFd fd, open_beneath(root_.get(), relative(path), O_RDONLY | O_DIRECTORY));
  SABLE_TRY(const std::string place, place_beneath(root_.get(), fd.get()));
  SABLE_TRY_VOID(check_visible(place));
  return fd;
}

Result<FileState> WorkspaceFiles::state_of(std::string_view path) const {
  SABLE_TRY(const UniqueFd fd, open_beneath(root_.get(), relative(path), O_PATH | O_NOFOLLOW));
  SABLE_TRY_VOID(check_visible(relative(path)));
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return fail_errno(shown_path(path), errno);
  FileState state{.mode = info.st_mode,
                  .bytes = static_cast<uint64_t>(info.st_size),
                  .modified_s = info.st_mtim.tv_sec,
                  .modified_ns = static_cast<uint32_t>(info.st_mtim.tv_nsec)};
  if (S_ISLNK(info.st_mode)) {
    char target[4096];
    const ssize_t n = ::readlinkat(fd.get(), "", target, sizeof target);
    if (n > 0) state.target.assign(target, static_cast<size_t>(n));
  }
  return state;
}

Result<Folder> WorkspaceFiles::list(std::string_view path, size_t entries_max) const {
  SABLE_TRY(UniqueFd fd, open_beneath(root_.get(), relative(path), O_RDONLY | O_DIRECTORY));
  SABLE_TRY(std::string place, place_beneath(root_.get(), fd.get()));
  SABLE_TRY_VOID(check_visible(place));
  Folder folder{.place = std::move(place)};
  FolderStream stream(std::move(fd));
  if (!stream) return fail_errno(shown_path(path), errno);
  while (const dirent* found = stream.next()) {
    if (!check_visible(joined(folder.place, found->d_name))) continue;
    if (folder.entries.size() == entries_max) {
      folder.cut = true;
      break;
    }
    folder.entries.push_back(entry_of(stream.fd(), *found));
  }
  std::sort(folder.entries.begin(), folder.entries.end(),
            [](const FolderEntry& a, const FolderEntry& b) { return a.name < b.name; });
  return folder;
}

Result<std::string> WorkspaceFiles::place_of(std::string_view path) const {
  SABLE_TRY(const UniqueFd handle, open_beneath(root_.get(), relative(path), O_PATH));
  SABLE_TRY(std::string place, place_beneath(root_.get(), handle.get()));
  SABLE_TRY_VOID(check_visible(place));
  return place;
}

std::string WorkspaceFiles::similar_to(std::string_view path) const {
  const std::filesystem::path wanted = relative(path);
  const auto parent = wanted.parent_path().empty() ? "." : wanted.parent_path().string();
  const auto folder = list(parent, 2'000);
  if (!folder) return {};
  std::vector<std::string> names;
  for (const auto& entry : folder->entries) names.push_back(entry.name);
  const std::string name = nearest(wanted.filename().string(), names);
  return name.empty() ? name : joined(folder->place, name);
}

std::optional<Digest> WorkspaceFiles::remembered(const std::string& place) const {
  const auto it = known_.find(place);
  if (it == known_.end()) return std::nullopt;
  return it->second;
}

}  // namespace sable::tools
