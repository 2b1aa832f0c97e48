// What pid 1 does while the program runs: reaps orphans, watches the memory of all processes and
// the disks they write to, passes signals on, and reports the end.
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/launcher/call.h"
#include "sandbox/launcher/disk_watch.h"

namespace sable::sandbox {

namespace {

struct DirectoryEntry {  // linux_dirent64
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[1];
};

// The value of "KEY:   1234 kB" in a text of /proc, in bytes.
uint64_t kilobytes_after(const char* text, const char* key) {
  const char* found = std::strstr(text, key);
  if (found == nullptr) return 0;
  found += std::strlen(key);
  while (*found == ' ' || *found == '\t') ++found;
  uint64_t value = 0;
  for (; *found >= '0' && *found <= '9'; ++found) {
    value = value * 10 + static_cast<uint64_t>(*found - '0');
  }
  return value * 1024;
}

/// The beginning of a file of /proc, which is all that we need of any.
class ProcessFile {
 public:
  ProcessFile(int process_folder, const char* path) {
    const int fd = ::openat(process_folder, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    const ssize_t size = ::read(fd, text_, sizeof text_ - 1);
    ::close(fd);
    if (size > 0) text_[size] = '\0';
  }
  uint64_t bytes_of(const char* key) const { return kilobytes_after(text_, key); }

 private:
  char text_[4096] = {};
};

struct MemoryUse {
  uint64_t anonymous = 0, shared = 0;
};

// What all processes have mapped; pages of files are the kernel's to reclaim.
MemoryUse mapped_by_all(int process_folder) {
  alignas(DirectoryEntry) static char buffer[16 * 1024];
  MemoryUse use;
  ::lseek(process_folder, 0, SEEK_SET);
  while (true) {
    const long filled = ::syscall(SYS_getdents64, process_folder, buffer, sizeof buffer);
    if (filled <= 0) return use;
    for (long at = 0; at < filled;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      at += entry->size;
      const size_t length = std::strlen(entry->name);
      if (entry->name[0] < '1' || entry->name[0] > '9' || length > 12) continue;
      char path[24];
      std::memcpy(path, entry->name, length);
      std::memcpy(path + length, "/status", 8);
      const ProcessFile status(process_folder, path);
      use.anonymous += status.bytes_of("RssAnon:");
      use.shared += status.bytes_of("RssShmem:");
    }
  }
}

// Shared memory can be held without being mapped (a memory file that is only written to, pages that
// were let go of by their maps). Only the machine's total shows it, so growth of that beyond what
// the private file system may hold counts as ours.
uint64_t shared_of_machine(int process_folder) {
  return ProcessFile(process_folder, "meminfo").bytes_of("Shmem:");
}

class Supervisor {
 public:
  Supervisor(const Plan& plan, int program, int process_folder, const FailureReport& report)
      : plan_(plan),
        program_(program),
        process_folder_(process_folder),
        report_(report),
        disk_(plan),
        shared_before_(shared_of_machine(process_folder)) {}

  [[noreturn]] void run() {
    sigset_t none;
    ::sigemptyset(&none);
    const bool watching = plan_.memory_bytes != 0 || disk_.watches();
    const int64_t interval_ns = int64_t{plan_.watch_interval_ms} * 1'000'000;
    int64_t next_look = now_ns() + interval_ns;
    while (true) {
      const bool all_reaped = reap();
      // By the clock: children that die all the time interrupt every wait.
      int64_t left = next_look - now_ns();
      if (watching && left <= 0) {
        watch();
        next_look = now_ns() + interval_ns;
        left = interval_ns;
      }
      if (!all_reaped) left = 0;
      const timespec wait{left / 1'000'000'000, static_cast<long>(left % 1'000'000'000)};
      pollfd status{.fd = report_.status_fd(), .events = POLLIN, .revents = 0};
      if (::ppoll(&status, 1, watching || !all_reaped ? &wait : nullptr, &none) > 0) hear();
    }
  }

 private:
  static int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }

  void watch() const {
    if (plan_.memory_bytes != 0 && memory_used() > plan_.memory_bytes) {
      report_.send({.kind = StatusMessage::Kind::memory_limit});
      ::_exit(0);
    }
    const auto found = disk_.look();
    if (found.root < 0) return;
    report_.send({.kind = StatusMessage::Kind::disk_limit,
                  .index = found.root,
                  .value = found.files ? 1 : 0});
    ::_exit(0);
  }

  // Some of those that have ended, so that dying ones never keep us from the rest; whether all.
  bool reap() {
    constexpr int kInARow = 64;
    int status = 0;
    for (int i = 0; i < kInARow; ++i) {
      const int pid = ::waitpid(-1, &status, WNOHANG);
      if (pid <= 0) return true;
      if (pid != program_) continue;
      StatusMessage end{.kind = StatusMessage::Kind::exited, .value = WEXITSTATUS(status)};
      if (WIFSIGNALED(status)) {
        end.kind = StatusMessage::Kind::signalled;
        end.value = WTERMSIG(status);
      }
      end_the_rest();
      report_.send(end);
      ::_exit(0);
    }
    return false;
  }

  // What the program left behind. No process escapes this signal by forking, and each is our child
  // in the end, so when there is no child left, nothing is. Then the result can be told, before
  // the namespaces are taken down.
  static void end_the_rest() {
    ::kill(-1, SIGKILL);
    while (::waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR) {
    }
  }

  uint64_t memory_used() const {
    const MemoryUse mapped = mapped_by_all(process_folder_);
    const uint64_t allowed = shared_before_ + plan_.private_bytes;
    const uint64_t now = shared_of_machine(process_folder_);
    const uint64_t grown = now > allowed ? now - allowed : 0;
    return mapped.anonymous + (mapped.shared > grown ? mapped.shared : grown);
  }

  void hear() const {
    SignalRequest request{.magic = 0};
    const ssize_t size = ::recv(report_.status_fd(), &request, sizeof request, MSG_DONTWAIT);
    if (size == sizeof request && request.magic == SignalRequest::kMagic) {
      ::kill(-program_, request.signal);
      return;
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    ::_exit(126);  // the runtime let go of this call
  }

  const Plan& plan_;
  const int program_;
  const int process_folder_;
  const FailureReport& report_;
  const DiskWatch disk_;
  const uint64_t shared_before_;
};

}  // namespace

void supervise(const Plan& plan, int program_pid, int process_folder, const FailureReport& report) {
  Supervisor(plan, program_pid, process_folder, report).run();
}

}  // namespace sable::sandbox
