// Loaded into the program before everything else (LD_PRELOAD): ends it with SIGKILL right before
// its n-th operation on files below a folder. An operation is a write, a sync, a cut, a rename or a
// removal. SABLE_TEST_KILL_AT is n, from 0; SABLE_TEST_KILL_BELOW the folder. When the process ends
// by itself, the number of its operations is in the file SABLE_TEST_KILL_COUNT.
#include <atomic>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

std::atomic<long> n_operations{0};

const char* folder() {
  static const char* const value = std::getenv("SABLE_TEST_KILL_BELOW");
  return value;
}

bool is_below(const char* path) {
  return folder() != nullptr && std::strncmp(path, folder(), std::strlen(folder())) == 0;
}

bool is_below(int fd) {
  char link[32], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = 0;
  return is_below(path);
}

void count() {
  static const char* const at = std::getenv("SABLE_TEST_KILL_AT");
  const long n = n_operations++;
  if (at != nullptr && n == std::atol(at)) ::kill(::getpid(), SIGKILL);
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

struct TellsCount {
  ~TellsCount() {
    const char* const file = std::getenv("SABLE_TEST_KILL_COUNT");
    if (file == nullptr) return;
    if (std::FILE* out = std::fopen(file, "w")) {
      std::fprintf(out, "%ld", n_operations.load());
      std::fclose(out);
    }
  }
} tells_count;

}  // namespace

// The names and types are those of the C library.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
ssize_t write(int fd, const void* data, size_t n) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  if (is_below(fd)) count();
  return real(fd, data, n);
}
ssize_t pwrite(int fd, const void* data, size_t n, off_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  if (is_below(fd)) count();
  return real(fd, data, n, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t n, off64_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  if (is_below(fd)) count();
  return real(fd, data, n, offset);
}
int fsync(int fd) {
  static auto* const real = next<int(int)>("fsync");
  if (is_below(fd)) count();
  return real(fd);
}
int fdatasync(int fd) {
  static auto* const real = next<int(int)>("fdatasync");
  if (is_below(fd)) count();
  return real(fd);
}
int ftruncate(int fd, off_t size) {
  static auto* const real = next<int(int, off_t)>("ftruncate");
  if (is_below(fd)) count();
  return real(fd, size);
}
int ftruncate64(int fd, off64_t size) {
  static auto* const real = next<int(int, off64_t)>("ftruncate64");
  if (is_below(fd)) count();
  return real(fd, size);
}
int rename(const char* from, const char* to) {
  static auto* const real = next<int(const char*, const char*)>("rename");
  if (is_below(to)) count();
  return real(from, to);
}
int unlink(const char* path) {
  static auto* const real = next<int(const char*)>("unlink");
  if (is_below(path)) count();
  return real(path);
}
}
// NOLINTEND(bugprone-reserved-identifier)
