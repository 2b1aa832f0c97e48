// Loaded into the program before everything else (LD_PRELOAD). Either it ends the program with
// SIGKILL right before its n-th operation on files below a folder: an operation is a write, a sync,
// a cut, a rename, a removal, or the making of a file or folder. Or it does so at its n-th
// allocation (operator new, and what Asio uses beside it), which is anywhere at all; or lets that
// allocation find no memory. Programs that it starts are left alone.
//
//   SABLE_TEST_KILL_BELOW      the folder
//   SABLE_TEST_KILL_AT         n, from 0
//   SABLE_TEST_KILL_AT_ALLOCATION, SABLE_TEST_NO_MEMORY_AT    n, from 0
//   SABLE_TEST_KILL_COUNT      when the process ends by itself, this file has the number of its
//                              operations and of its allocations
#include <atomic>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <new>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

struct Plan {
  const char* below = nullptr;
  const char* count_file = nullptr;
  long kill_at = -1, kill_at_allocation = -1, no_memory_at = -1;
};

// Constant: allocations and writes come before constructors run.
Plan plan;
std::atomic<long> n_operations{0}, n_allocations{0};

// The names that the C library has for them: ours below hide them.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool is_below(const char* path) {
  return plan.below != nullptr && std::strncmp(path, plan.below, std::strlen(plan.below)) == 0;
}

bool is_below(int fd) {
  if (plan.below == nullptr) return false;
  char link[32], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = 0;
  return is_below(path);
}

/// Of a path as the program gives it: absolute, or relative to a folder that is open.
bool is_below(int folder, const char* path) {
  return path[0] == '/' || folder == AT_FDCWD ? is_below(path) : is_below(folder);
}

void count() {
  const long n = n_operations++;
  if (n == plan.kill_at) ::kill(::getpid(), SIGKILL);
}

/// Whether there is none left. Counted from when main has said what then is to happen: before it
/// nothing is open that could be lost.
bool counts_allocation() {
  if (std::get_new_handler() == nullptr) return false;
  const long n = n_allocations++;
  if (n == plan.kill_at_allocation) ::kill(::getpid(), SIGKILL);
  return n == plan.no_memory_at;
}

struct ReadsPlan {
  ReadsPlan() {
    const auto number = [](const char* name) {
      const char* value = std::getenv(name);
      return value == nullptr ? -1 : std::atol(value);
    };
    plan.below = std::getenv("SABLE_TEST_KILL_BELOW");
    plan.count_file = std::getenv("SABLE_TEST_KILL_COUNT");
    plan.kill_at = number("SABLE_TEST_KILL_AT");
    plan.kill_at_allocation = number("SABLE_TEST_KILL_AT_ALLOCATION");
    plan.no_memory_at = number("SABLE_TEST_NO_MEMORY_AT");
    n_allocations = 0;
    ::unsetenv("LD_PRELOAD");
  }
  ~ReadsPlan() {
    if (plan.count_file == nullptr) return;
    const char* const file = plan.count_file;
    plan = {};
    if (std::FILE* out = std::fopen(file, "w")) {
      std::fprintf(out, "%ld %ld", n_operations.load(), n_allocations.load());
      std::fclose(out);
    }
  }
} reads_plan;

void* allocate(size_t n, size_t alignment) {
  if (counts_allocation()) {
    if (const auto handler = std::get_new_handler()) handler();
    throw std::bad_alloc();
  }
  void* const memory = alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__
                           ? next<void*(size_t, size_t)>("aligned_alloc")(
                                 alignment, (n + alignment - 1) / alignment * alignment)
                           : std::malloc(n == 0 ? 1 : n);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t n) { return allocate(n, 1); }
void* operator new[](size_t n) { return allocate(n, 1); }
void* operator new(size_t n, std::align_val_t alignment) {
  return allocate(n, static_cast<size_t>(alignment));
}
void* operator new[](size_t n, std::align_val_t alignment) {
  return allocate(n, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

// The names and types are those of the C library.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void* aligned_alloc(size_t alignment, size_t n) noexcept {
  static auto* const real = next<void*(size_t, size_t)>("aligned_alloc");
  return counts_allocation() ? nullptr : real(alignment, n);
}
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
int ftruncate(int fd, off_t size) noexcept {
  static auto* const real = next<int(int, off_t)>("ftruncate");
  if (is_below(fd)) count();
  return real(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
  static auto* const real = next<int(int, off64_t)>("ftruncate64");
  if (is_below(fd)) count();
  return real(fd, size);
}
int rename(const char* from, const char* to) noexcept {
  static auto* const real = next<int(const char*, const char*)>("rename");
  if (is_below(to)) count();
  return real(from, to);
}
int link(const char* from, const char* to) noexcept {
  static auto* const real = next<int(const char*, const char*)>("link");
  if (is_below(to)) count();
  return real(from, to);
}
int unlink(const char* path) noexcept {
  static auto* const real = next<int(const char*)>("unlink");
  if (is_below(path)) count();
  return real(path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const real = next<int(const char*, mode_t)>("mkdir");
  if (is_below(path)) count();
  return real(path, mode);
}

// Opening is an operation where it may make a file.
#define SABLE_TEST_OPEN(name, folder, parameters, ...)                \
  int name parameters {                                               \
    static auto* const real = next<int parameters>(#name);            \
    mode_t mode = 0;                                                  \
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) { \
      va_list arguments;                                              \
      va_start(arguments, flags);                                     \
      mode = va_arg(arguments, mode_t);                               \
      va_end(arguments);                                              \
      if (is_below(folder, path)) count();                            \
    }                                                                 \
    return real(__VA_ARGS__, flags, mode);                            \
  }
SABLE_TEST_OPEN(open, AT_FDCWD, (const char* path, int flags, ...), path)
SABLE_TEST_OPEN(open64, AT_FDCWD, (const char* path, int flags, ...), path)
SABLE_TEST_OPEN(openat, folder, (int folder, const char* path, int flags, ...), folder, path)
SABLE_TEST_OPEN(openat64, folder, (int folder, const char* path, int flags, ...), folder, path)
#undef SABLE_TEST_OPEN
}
// NOLINTEND(bugprone-reserved-identifier)
