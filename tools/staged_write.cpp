#include "tools/staged_write.h"

#include <cerrno>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "tools/beneath.h"
#include "tools/shown_text.h"

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

}  // namespace

MadeFolders::~MadeFolders() {
  for (auto it = made_.rbegin(); it != made_.rend(); ++it) {
    // Only while it is empty: what somebody else put into it stays.
    ::unlinkat(it->parent.get(), it->name.c_str(), AT_REMOVEDIR);
  }
}

void MadeFolders::add(int parent, std::string name) {
  UniqueFd own(::fcntl(parent, F_DUPFD_CLOEXEC, 0));
  if (own) made_.push_back({std::move(own), std::move(name)});
}

TemporaryName::~TemporaryName() {
  if (!name_.empty()) ::unlinkat(folder_, name_.c_str(), 0);
}

Result<void> TemporaryName::choose() {
  uint8_t random[8];
  if (::getrandom(random, sizeof random, 0) != sizeof random) return fail_errno("getrandom", errno);
  name_ = ".sable-tmp-" + to_hex(random);
  return {};
}

Result<StagedWrite> StagedWrite::prepare(UniqueFd folder, std::string name, std::string place,
                                         FileWrite write) {
  StagedWrite staged(std::move(folder), std::move(name), std::move(place));
  SABLE_TRY(staged.before_,
            check_base(staged.folder_.get(), staged.name_, staged.place_, write.base));
  if (write.content) {
    staged.digest_ = sha256(*write.content);
    SABLE_TRY_VOID(staged.fill(*write.content, write.new_mode));
  } else if (!staged.before_) {
    return fail(ErrorCode::not_found, shown_path(staged.place_) + ": no such file");
  }
  return staged;
}

Result<void> StagedWrite::fill(std::string_view content, unsigned new_mode) {
  const std::string shown = shown_path(place_);
  for (int i = 0; i < 16 && !content_; ++i) {
    SABLE_TRY_VOID(temporary_.choose());
    content_ = UniqueFd(::openat(folder_.get(), temporary_.get(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (content_) break;
    const int error = errno;
    temporary_.keep();  // whatever stands there is not ours
    if (error == EACCES || error == EPERM || error == EROFS) {
      return fail(ErrorCode::denied, shown + ": its folder cannot be written");
    }
    if (error != EEXIST) return fail_errno(shown, error);
  }
  if (!content_) return fail(ErrorCode::io, shown + ": no free name for a temporary file");
  if (auto written = write_all(content_.get(), content); !written) {
    return fail_in(shown, written.error());
  }
  mode_t mode = new_mode;
  if (before_) {
    // Never set-user-id; an owner that we may not give is left as ours.
    mode = before_->st_mode & 0777u;
    [[maybe_unused]] const int ignored = ::fchown(content_.get(), before_->st_uid, before_->st_gid);
  }
  if (::fchmod(content_.get(), mode) != 0) return fail_errno(shown, errno);
  if (::fsync(content_.get()) != 0) return fail_errno(shown + ": fsync", errno);
  return {};
}

bool StagedWrite::rename_to_place(unsigned flags) const {
  return ::renameat2(folder_.get(), temporary_.get(), folder_.get(), name_.c_str(), flags) == 0;
}

Result<void> StagedWrite::put() {
  if (!digest_) return take_away();
  return before_ ? put_over() : put_new();
}

Result<void> StagedWrite::put_new() {
  if (rename_to_place(RENAME_NOREPLACE)) {
    temporary_.keep();
    done_ = Done::created;
    return {};
  }
  if (errno == EEXIST) return changed_meanwhile(place_);
  return fail_errno(shown_path(place_) + ": rename", errno);
}

/// The old file is exchanged for the new one and looked at before it is let go: if it is not the
/// one that was checked, both go back.
Result<void> StagedWrite::put_over() {
  if (rename_to_place(RENAME_EXCHANGE)) {
    struct stat old;
    if (::fstatat(folder_.get(), temporary_.get(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
        same_file(old, *before_)) {
      done_ = Done::exchanged;  // the temporary name now holds the old file
      return {};
    }
    if (!rename_to_place(RENAME_EXCHANGE)) {
      temporary_.keep();  // rather two files than none
      return fail_errno(shown_path(place_) + ": rename", errno);
    }
    return changed_meanwhile(place_);
  }
  if (errno == ENOENT) return changed_meanwhile(place_);
  if (errno == EINVAL || errno == ENOSYS) {  // a file system without exchange
    if (::renameat(folder_.get(), temporary_.get(), folder_.get(), name_.c_str()) == 0) {
      temporary_.keep();
      done_ = Done::replaced;
      return {};
    }
  }
  return fail_errno(shown_path(place_) + ": rename", errno);
}

/// The file gets the temporary name and is looked at before it is let go.
Result<void> StagedWrite::take_away() {
  SABLE_TRY_VOID(temporary_.choose());
  if (::renameat2(folder_.get(), name_.c_str(), folder_.get(), temporary_.get(),
                  RENAME_NOREPLACE) != 0) {
    const int error = errno;
    temporary_.keep();
    if (error == ENOENT) return changed_meanwhile(place_);
    return fail_errno(shown_path(place_) + ": rename", error);
  }
  struct stat old;
  if (::fstatat(folder_.get(), temporary_.get(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
      same_file(old, *before_)) {
    done_ = Done::removed;
    return {};
  }
  const bool back = rename_to_place(RENAME_NOREPLACE);
  temporary_.keep();
  if (!back) return fail_errno(shown_path(place_) + ": rename", errno);
  return changed_meanwhile(place_);
}

bool StagedWrite::undo() {
  switch (std::exchange(done_, Done::nothing)) {
    case Done::nothing:
      return true;
    case Done::created: {
      struct stat ours, there;
      if (::fstat(content_.get(), &ours) != 0 ||
          ::fstatat(folder_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 ||
          ours.st_dev != there.st_dev || ours.st_ino != there.st_ino) {
        return true;  // somebody else's by now
      }
      return ::unlinkat(folder_.get(), name_.c_str(), 0) == 0;
    }
    case Done::exchanged:
      if (rename_to_place(RENAME_EXCHANGE)) return true;
      temporary_.keep();
      return false;
    case Done::removed: {
      const bool back = rename_to_place(RENAME_NOREPLACE);
      temporary_.keep();
      return back;
    }
    case Done::replaced:
      return false;
  }
  return false;
}

Result<void> StagedWrite::finish() {
  if (::fsync(folder_.get()) != 0) return fail_errno(shown_path(place_) + ": fsync", errno);
  return {};
}

}  // namespace sable::tools
