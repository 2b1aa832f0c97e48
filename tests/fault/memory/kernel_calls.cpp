// The program's own definitions of some of the C library's calls. They stand before the library's,
// also for libgit2 and the C++ library, so that what those read and write can fail as planned, too.
// SQLite uses others, and has its shim in fault_vfs.cpp.
#include <cerrno>
#include <climits>
#include <cstddef>
#include <dlfcn.h>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "tests/fault/memory/faults.h"

using sable::test::FaultKind;
using sable::test::faults;
using sable::test::Operation;

namespace {

/// The definition that ours hides.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool armed() { return faults().kind() != FaultKind::none; }
bool power_may_go() { return faults().kind() == FaultKind::power_loss; }

std::string path_of(int fd) {
  char path[PATH_MAX];
  const auto name = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = ::readlink(name.c_str(), path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

/// Files of a test; not what it prints, nor pipes, nor the libraries and settings of the machine.
bool is_storage(int fd) {
  struct stat info;
  return fd > STDERR_FILENO && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
         faults().is_watched(path_of(fd));
}

bool is_storage(const char* path) { return faults().is_watched(path); }

int fail_with(int number) {
  errno = number;
  return -1;
}

int error_of_write() { return faults().kind() == FaultKind::disk_full ? ENOSPC : EIO; }

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t n) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  if (!armed() || !is_storage(fd)) return real(fd, data, n);
  if (faults().strikes(Operation::write)) {
    if (faults().kind() == FaultKind::short_write && n > 1) return real(fd, data, n / 2);
    return fail_with(error_of_write());
  }
  if (!power_may_go()) return real(fd, data, n);
  const auto path = path_of(fd);
  const auto at = static_cast<size_t>(::lseek(fd, 0, SEEK_CUR));
  faults().before_change(path);
  const ssize_t written = real(fd, data, n);
  if (written > 0) faults().on_write(path, at, data, static_cast<size_t>(written));
  return written;
}

ssize_t pwrite(int fd, const void* data, size_t n, off_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  if (!armed()) return real(fd, data, n, offset);
  if (faults().strikes(Operation::write)) {
    if (faults().kind() == FaultKind::short_write && n > 1) return real(fd, data, n / 2, offset);
    return fail_with(error_of_write());
  }
  if (!power_may_go()) return real(fd, data, n, offset);
  const auto path = path_of(fd);
  faults().before_change(path);
  const ssize_t written = real(fd, data, n, offset);
  if (written > 0) {
    faults().on_write(path, static_cast<size_t>(offset), data, static_cast<size_t>(written));
  }
  return written;
}

ssize_t read(int fd, void* data, size_t n) {
  static auto* const real = next<ssize_t(int, void*, size_t)>("read");
  if (armed() && is_storage(fd) && faults().strikes(Operation::read)) return fail_with(EIO);
  return real(fd, data, n);
}

ssize_t pread(int fd, void* data, size_t n, off_t offset) {
  static auto* const real = next<ssize_t(int, void*, size_t, off_t)>("pread");
  if (armed() && is_storage(fd) && faults().strikes(Operation::read)) return fail_with(EIO);
  return real(fd, data, n, offset);
}

// While faults are planned nothing is waited for: the loops run thousands of sessions.

int fdatasync(int fd) {
  static auto* const real = next<int(int)>("fdatasync");
  if (!armed()) return real(fd);
  if (faults().strikes(Operation::sync)) return fail_with(EIO);
  if (power_may_go()) faults().on_sync(path_of(fd));
  return 0;
}

int fsync(int fd) {
  static auto* const real = next<int(int)>("fsync");
  if (!armed()) return real(fd);
  if (faults().strikes(Operation::sync)) return fail_with(EIO);
  struct stat info;
  if (power_may_go() && ::fstat(fd, &info) == 0) {
    if (S_ISREG(info.st_mode)) faults().on_sync(path_of(fd));
    if (S_ISDIR(info.st_mode)) faults().on_sync_folder(path_of(fd));
  }
  return 0;
}

int syncfs(int fd) noexcept {
  static auto* const real = next<int(int)>("syncfs");
  if (!armed()) return real(fd);
  if (faults().strikes(Operation::sync)) return fail_with(EIO);
  faults().on_sync_everything();
  return 0;
}

int ftruncate(int fd, off_t size) noexcept {
  static auto* const real = next<int(int, off_t)>("ftruncate");
  if (!armed()) return real(fd, size);
  if (faults().strikes(Operation::truncate)) return fail_with(EIO);
  if (power_may_go()) {
    const auto path = path_of(fd);
    faults().before_change(path);
    faults().on_truncate(path, static_cast<size_t>(size));
  }
  return real(fd, size);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const real = next<int(const char*, const char*)>("rename");
  if (!armed() || !is_storage(to)) return real(from, to);
  if (faults().strikes(Operation::rename)) return fail_with(EIO);
  faults().before_removal(from);
  faults().before_removal(to);
  const int code = real(from, to);
  if (code == 0) faults().on_rename(from, to);
  return code;
}

int link(const char* from, const char* to) noexcept {
  static auto* const real = next<int(const char*, const char*)>("link");
  if (!armed() || !is_storage(to)) return real(from, to);
  if (faults().strikes(Operation::rename)) return fail_with(EIO);
  faults().before_removal(from);
  const int code = real(from, to);
  if (code == 0) faults().on_link(from, to);
  return code;
}

int unlink(const char* path) noexcept {
  static auto* const real = next<int(const char*)>("unlink");
  if (!armed() || !is_storage(path)) return real(path);
  // SQLite's own removals have been counted by its shim.
  if (!std::string_view(path).ends_with("-wal") && !std::string_view(path).ends_with("-shm") &&
      faults().strikes(Operation::rename)) {
    return fail_with(EIO);
  }
  faults().before_removal(path);
  const int code = real(path);
  if (code == 0) faults().on_remove(path);
  return code;
}

int remove(const char* path) noexcept {
  static auto* const real = next<int(const char*)>("remove");
  if (!armed() || !is_storage(path)) return real(path);
  if (faults().strikes(Operation::rename)) return fail_with(EIO);
  faults().before_removal(path);
  const int code = real(path);
  if (code == 0) faults().on_remove(path);
  return code;
}
}
