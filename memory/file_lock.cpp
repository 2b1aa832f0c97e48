#include "memory/file_lock.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory/home.h"

namespace sable::memory {

namespace {

bool lock(int fd, LockKind kind, int command) {
  struct flock request {};
  request.l_type = kind == LockKind::alone ? F_WRLCK : F_RDLCK;
  request.l_whence = SEEK_SET;
  while (::fcntl(fd, command, &request) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

}  // namespace

bool try_lock(int fd, LockKind kind) { return lock(fd, kind, F_OFD_SETLK); }
bool wait_for_lock(int fd, LockKind kind) { return lock(fd, kind, F_OFD_SETLKW); }

bool leads_to(const std::filesystem::path& file, int fd) {
  struct stat named, opened;
  return ::fstat(fd, &opened) == 0 && ::stat(file.c_str(), &named) == 0 &&
         named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

Result<void> make_private_folder(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0) return sync_folder(folder.parent_path());
  if (errno != EEXIST) return fail_errno(folder.string(), errno);
  struct stat info;
  if (::lstat(folder.c_str(), &info) != 0) return fail_errno(folder.string(), errno);
  if (!S_ISDIR(info.st_mode)) {
    return fail(ErrorCode::denied, folder.string() + ": not a folder");
  }
  if (info.st_uid != ::geteuid()) {
    return fail(ErrorCode::denied, folder.string() + ": belongs to another user");
  }
  if ((info.st_mode & 077u) != 0 && ::chmod(folder.c_str(), 0700) != 0) {
    return fail_errno(folder.string(), errno);
  }
  return {};
}

Result<void> make_private_folders(const std::filesystem::path& folder) {
  std::error_code error;
  if (folder.empty() || std::filesystem::exists(folder, error)) return {};
  SABLE_TRY_VOID(make_private_folders(folder.parent_path()));
  return make_private_folder(folder);
}

Result<UniqueFd> open_private_file(const std::filesystem::path& file) {
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(file.string(), errno);
  return fd;
}

}  // namespace sable::memory
