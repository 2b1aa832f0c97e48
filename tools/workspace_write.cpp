// Replacing a file of the workspace whole, without a moment in which somebody else's work can be
// lost.
#include <cerrno>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "tools/beneath.h"
#include "tools/protected_names.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

constexpr size_t kCompareBytesMax = size_t{256} << 20;

tl::unexpected<Error> changed_meanwhile(const std::string& place) {
  return fail(
      ErrorCode::invalid_input,
      shown_path(place) +
          ": somebody else changed this file in the meantime, so it was not overwritten; read it "
          "again with read_file, then repeat the change on its present content");
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

/// A file under a name that nobody guesses, gone unless kept.
class TemporaryFile {
 public:
  static Result<TemporaryFile> create(int folder, const std::string& place) {
    for (int i = 0; i < 16; ++i) {
      uint8_t random[8];
      if (::getrandom(random, sizeof random, 0) != sizeof random)
        return fail_errno("getrandom", errno);
      std::string name = ".sable-tmp-" + to_hex(random);
      const int fd = ::openat(folder, name.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
      if (fd >= 0) return TemporaryFile(folder, std::move(name), UniqueFd(fd));
      if (errno == EACCES || errno == EPERM || errno == EROFS) {
        return fail(ErrorCode::denied, shown_path(place) + ": its folder cannot be written");
      }
      if (errno != EEXIST) return fail_errno(shown_path(place), errno);
    }
    return fail(ErrorCode::io, shown_path(place) + ": no free name for a temporary file");
  }

  TemporaryFile(TemporaryFile&& other) noexcept
      : folder_(other.folder_), name_(std::exchange(other.name_, {})), fd_(std::move(other.fd_)) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!name_.empty()) ::unlinkat(folder_, name_.c_str(), 0);
  }

  int fd() const { return fd_.get(); }
  const char* name() const { return name_.c_str(); }
  void keep() { name_.clear(); }

 private:
  TemporaryFile(int folder, std::string name, UniqueFd fd)
      : folder_(folder), name_(std::move(name)), fd_(std::move(fd)) {}

  int folder_;  ///< borrowed
  std::string name_;
  UniqueFd fd_;
};

/// The file at `name` when it is a regular one: its state, and its content's digest.
Result<std::optional<struct stat>> check_base(int folder, const std::string& name,
                                              const std::string& place, const WriteBase& base) {
  struct stat before;
  if (::fstatat(folder, name.c_str(), &before, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return fail_errno(shown_path(place), errno);
    if (base.replaces) {
      return fail(ErrorCode::invalid_input,
                  shown_path(place) + ": the file is gone since it was read; nothing was written");
    }
    return std::optional<struct stat>();
  }
  if (S_ISLNK(before.st_mode)) {
    char target[1024];
    const ssize_t n = ::readlinkat(folder, name.c_str(), target, sizeof target);
    return fail(
        ErrorCode::denied,
        fmt::format("{}: a symbolic link to {}; links are not written through, so name the file "
                    "that it leads to",
                    shown_path(place),
                    shown_path(std::string_view(target, n > 0 ? static_cast<size_t>(n) : 0))));
  }
  if (!S_ISREG(before.st_mode)) {
    return fail(ErrorCode::invalid_input, shown_path(place) + ": not a regular file");
  }
  if (!base.replaces) return changed_meanwhile(place);
  SABLE_TRY(const UniqueFd fd, open_beneath(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat opened;
  if (::fstat(fd.get(), &opened) != 0) return fail_errno(shown_path(place), errno);
  if (!S_ISREG(opened.st_mode) || static_cast<size_t>(opened.st_size) > kCompareBytesMax) {
    return changed_meanwhile(place);
  }
  Sha256 hash;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(shown_path(place), errno);
    if (n == 0) break;
    hash.update(std::string_view(buffer, static_cast<size_t>(n)));
  }
  if (hash.finish() != *base.replaces) return changed_meanwhile(place);
  return std::optional<struct stat>(opened);
}

Result<void> fill(const TemporaryFile& temporary, std::string_view content,
                  const std::string& place, const std::optional<struct stat>& before) {
  if (auto written = write_all(temporary.fd(), content); !written) {
    return fail_in(shown_path(place), written.error());
  }
  mode_t mode = 0644;
  if (before) {
    // Never set-user-id; an owner that we may not give is left as ours.
    mode = before->st_mode & 0777u;
    [[maybe_unused]] const int ignored = ::fchown(temporary.fd(), before->st_uid, before->st_gid);
  }
  if (::fchmod(temporary.fd(), mode) != 0) return fail_errno(shown_path(place), errno);
  if (::fsync(temporary.fd()) != 0) return fail_errno(shown_path(place) + ": fsync", errno);
  return {};
}

/// Puts the temporary file in place. An existing file is exchanged for it and looked at before it
/// is let go: if it is not the one that was checked, both go back.
Result<void> put_in_place(int folder, TemporaryFile& temporary, const std::string& name,
                          const std::string& place, const std::optional<struct stat>& before) {
  const auto rename_with = [&](unsigned flags) {
    return ::renameat2(folder, temporary.name(), folder, name.c_str(), flags) == 0;
  };
  if (!before) {
    if (rename_with(RENAME_NOREPLACE)) {
      temporary.keep();
      return {};
    }
    if (errno == EEXIST) return changed_meanwhile(place);
    return fail_errno(shown_path(place) + ": rename", errno);
  }
  if (rename_with(RENAME_EXCHANGE)) {
    struct stat old;
    if (::fstatat(folder, temporary.name(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
        same_file(old, *before)) {
      return {};  // the temporary name now holds the old file, and is removed
    }
    if (!rename_with(RENAME_EXCHANGE)) {
      temporary.keep();  // rather two files than none
      return fail_errno(shown_path(place) + ": rename", errno);
    }
    return changed_meanwhile(place);
  }
  if (errno == ENOENT) return changed_meanwhile(place);
  if (errno == EINVAL || errno == ENOSYS) {  // a file system without exchange
    if (::renameat(folder, temporary.name(), folder, name.c_str()) == 0) {
      temporary.keep();
      return {};
    }
  }
  return fail_errno(shown_path(place) + ": rename", errno);
}

}  // namespace

Result<UniqueFd> WorkspaceFiles::make_folders(std::string_view path) const {
  if (path.empty() || path == ".") return open_beneath(root_.get(), ".", O_RDONLY | O_DIRECTORY);
  if (auto found = open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY);
      found || found.error().code != ErrorCode::not_found) {
    return found;
  }
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (name == "..") {
    return fail(ErrorCode::not_found,
                shown_path(path) + ": \"..\" behind a folder that does not exist");
  }
  SABLE_TRY(UniqueFd parent,
            make_folders(slash == std::string_view::npos ? "." : path.substr(0, slash)));
  if (name.empty() || name == ".") return parent;
  SABLE_TRY(const std::string place, place_beneath(root_.get(), parent.get()));
  const std::string made = joined(place, name);
  if (const auto why = protection_of(made)) {
    return fail(ErrorCode::denied, fmt::format("{}: protected ({})", shown_path(made), *why));
  }
  if (::mkdirat(parent.get(), std::string(name).c_str(), 0777) != 0 && errno != EEXIST) {
    if (errno == EACCES || errno == EPERM || errno == EROFS) {
      return fail(ErrorCode::denied, shown_path(made) + ": this folder cannot be made");
    }
    return fail_errno(shown_path(made), errno);
  }
  return open_beneath(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Result<WorkspaceFiles::Target> WorkspaceFiles::target_of(std::string_view path) const {
  const std::string whole = relative(path);
  const size_t slash = whole.rfind('/');
  const std::string name = slash == std::string::npos ? whole : whole.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return fail(ErrorCode::invalid_input, shown_path(path) + ": is a folder; name a file");
  }
  if (whole.find('\0') != std::string::npos || name.size() > 255) {
    return fail(ErrorCode::invalid_input, shown_path(path) + ": not a file name");
  }
  const std::string parent = slash == std::string::npos ? "." : whole.substr(0, slash);
  SABLE_TRY(UniqueFd folder, make_folders(parent));
  SABLE_TRY(const std::string place, place_beneath(root_.get(), folder.get()));
  return Target{.folder = std::move(folder), .name = name, .place = joined(place, name)};
}

Result<std::string> WorkspaceFiles::write(std::string_view path, std::string_view content,
                                          const WriteBase& base) {
  if (!writable_) {
    return fail(ErrorCode::denied, "this session may only read; no file was written");
  }
  SABLE_TRY(Target target, target_of(path));
  const std::string& place = target.place;
  if (const auto why = protection_of(place)) {
    return fail(
        ErrorCode::denied,
        fmt::format("{}: protected ({}); tools may not write it, so ask the person to change it",
                    shown_path(place), *why));
  }
  SABLE_TRY_VOID(check_visible(place));
  SABLE_TRY(const auto before, check_base(target.folder.get(), target.name, place, base));
  SABLE_TRY(TemporaryFile temporary, TemporaryFile::create(target.folder.get(), place));
  SABLE_TRY_VOID(fill(temporary, content, place, before));
  SABLE_TRY_VOID(put_in_place(target.folder.get(), temporary, target.name, place, before));
  if (::fsync(target.folder.get()) != 0) return fail_errno(shown_path(place) + ": fsync", errno);
  remember(place, sha256(content));
  return place;
}

}  // namespace sable::tools
