// The linker sends our own calls of write, fsync and rename here (--wrap).
#include <cerrno>
#include <cstddef>
#include <sys/stat.h>
#include <sys/types.h>

#include "tests/fault/memory/faults.h"

using sable::test::FaultKind;
using sable::test::faults;
using sable::test::Operation;

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
ssize_t __real_write(int fd, const void* data, size_t n);
int __real_fsync(int fd);
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
