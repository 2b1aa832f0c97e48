// The linker sends our own calls of write, pwrite, fsync, fdatasync, ftruncate and rename here
// (--wrap).
#include <cerrno>
#include <climits>
#include <cstddef>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "tests/fault/memory/faults.h"

using sable::test::FaultKind;
using sable::test::faults;
using sable::test::Operation;

namespace {

std::string path_of(int fd) {
  char path[PATH_MAX];
  const auto name = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = readlink(name.c_str(), path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

/// What a power cut leaves of it is followed write by write. Other files are written whole and
/// synced, or do not matter.
bool is_segment(const std::string& path) { return path.ends_with(".segment"); }

}  // namespace

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
ssize_t __real_write(int fd, const void* data, size_t n);
ssize_t __real_pwrite(int fd, const void* data, size_t n, off_t offset);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_ftruncate(int fd, off_t size);
int __real_rename(const char* from, const char* to);

ssize_t __wrap_write(int fd, const void* data, size_t n) {
  // The event loop wakes itself by writes too; only files are storage.
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && faults().strikes(Operation::write)) {
    if (faults().kind() == FaultKind::short_write && n > 1) return __real_write(fd, data, n / 2);
    errno = faults().kind() == FaultKind::disk_full ? ENOSPC : EIO;
    return -1;
  }
  return __real_write(fd, data, n);
}

ssize_t __wrap_pwrite(int fd, const void* data, size_t n, off_t offset) {
  if (faults().strikes(Operation::write)) {
    if (faults().kind() == FaultKind::short_write && n > 1) {
      return __real_pwrite(fd, data, n / 2, offset);
    }
    errno = faults().kind() == FaultKind::disk_full ? ENOSPC : EIO;
    return -1;
  }
  const ssize_t written = __real_pwrite(fd, data, n, offset);
  if (faults().kind() == FaultKind::power_loss && written > 0) {
    if (const auto path = path_of(fd); is_segment(path)) {
      faults().on_write(path, static_cast<size_t>(offset), data, static_cast<size_t>(written));
    }
  }
  return written;
}

int __wrap_fdatasync(int fd) {
  if (faults().strikes(Operation::sync)) {
    errno = EIO;
    return -1;
  }
  if (faults().kind() == FaultKind::power_loss) faults().on_sync(path_of(fd));
  return faults().kind() == FaultKind::none ? __real_fdatasync(fd) : 0;
}

int __wrap_ftruncate(int fd, off_t size) {
  if (faults().strikes(Operation::truncate)) {
    errno = EIO;
    return -1;
  }
  if (faults().kind() == FaultKind::power_loss) {
    if (const auto path = path_of(fd); is_segment(path)) {
      faults().on_truncate(path, static_cast<size_t>(size));
    }
  }
  return __real_ftruncate(fd, size);
}

int __wrap_fsync(int fd) {
  if (faults().strikes(Operation::sync)) {
    errno = EIO;
    return -1;
  }
  // While faults are planned nothing is waited for: the loops run thousands of sessions.
  return faults().kind() == FaultKind::none ? __real_fsync(fd) : 0;
}

int __wrap_rename(const char* from, const char* to) {
  if (faults().strikes(Operation::rename)) {
    errno = EIO;
    return -1;
  }
  return __real_rename(from, to);
}
}
// NOLINTEND(bugprone-reserved-identifier)
