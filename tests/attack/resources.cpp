// R1 to R9: using up the machine, and outliving the call. The limits that are met here are the
// harness's.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "tests/attack/attempts.h"

extern char** environ;

namespace sable::attack {

namespace {

void signals(Attempts& attempts) {
  for (const char* name : {"HOST_PID", "LAUNCHER_PID"}) {
    const int pid = given_number(name);
    attempts.denied(std::string("stop ") + name, ::kill(pid, SIGSTOP), {ESRCH, EPERM});
    attempts.denied(std::string("kill ") + name, ::kill(pid, SIGKILL), {ESRCH, EPERM});
    attempts.denied(std::string("kill the group of ") + name, ::kill(-pid, SIGKILL),
                    {ESRCH, EPERM});
  }
  // Pid 1 of a namespace does not hear these from inside; that we go on shows it.
  for (const int number : {SIGKILL, SIGSTOP, SIGTERM, SIGHUP, SIGCHLD, SIGINT}) ::kill(1, number);
  ::usleep(50'000);
  attempts.holds("pid 1 survives", ::kill(1, 0) == 0);
}

void listing(Attempts& attempts) {
  DIR* proc = ::opendir("/proc");
  int n_processes = 0;
  while (const dirent* entry = ::readdir(proc)) {
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') ++n_processes;
  }
  ::closedir(proc);
  attempts.holds("only pid 1 and this process are seen", n_processes == 2);
  attempts.holds("this host's processes are not",
                 ::access(("/proc/" + given("HOST_PID")).c_str(), F_OK) != 0);
}

// A number of the harness's, which makes an attack small where nothing bounds it.
int number_or(const char* name, int otherwise) {
  return given(name).empty() ? otherwise : given_number(name);
}

// As many as no limit of ours allows, all alive at once.
void many_processes(Attempts& attempts, int n_max) {
  int n_children = 0;
  for (; n_children < n_max; ++n_children) {
    const pid_t pid = ::fork();
    if (pid < 0) break;
    if (pid == 0) {
      ::sleep(600);
      ::_exit(0);
    }
  }
  attempts.denied(std::to_string(n_max) + " processes at once", n_children == n_max ? 0 : -1,
                  {EAGAIN});
}

void fork_bomb(Attempts& attempts) {
  if (const int n_max = number_or("PROCESSES_MAX", 0); n_max > 0) {
    return many_processes(attempts, n_max);
  }
  int n_children = 0;
  while (n_children < 100'000) {
    const pid_t pid = ::fork();
    if (pid < 0) break;
    if (pid == 0) {
      while (::fork() >= 0) {
      }
      ::sleep(600);
      ::_exit(0);
    }
    ++n_children;
  }
  attempts.denied("fork for ever", ::fork(), {EAGAIN});
}

void memory(Attempts& attempts) {
  std::fflush(stdout);
  const size_t bytes = size_t(given_number("MEMORY_MB")) << 20;
  const int n_processes = given_number("PROCESSES");
  for (int i = 1; i < n_processes; ++i) {
    if (::fork() == 0) break;
  }
  auto* block = static_cast<char*>(
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (block != MAP_FAILED) {
    for (size_t at = 0; at < bytes; at += 4096) block[at] = 1;
  }
  ::sleep(5);
  attempts.holds("four times the limit was used and nobody minded", false);
}

// Memory that no process has mapped.
void unmapped_memory(Attempts& attempts) {
  std::fflush(stdout);
  const auto megabytes = given_number("MEMORY_MB");
  const std::vector<char> block(1 << 20, 'x');
  const int fd = ::memfd_create("hoard", 0);
  if (fd < 0) attempts.holds("a memory file is refused", true);
  for (int i = 0; fd >= 0 && i < megabytes; ++i) {
    if (::write(fd, block.data(), block.size()) < 0) break;
  }
  ::sleep(5);
  attempts.holds("a memory file of four times the limit was kept and nobody minded", false);
}

// The errno that ended the filling, or 0.
int fill(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0644);
  if (fd < 0) return errno;
  std::vector<char> block(1 << 20, 'x');
  for (int i = 0; i < number_or("FILL_MB", 4096); ++i) {
    if (::write(fd, block.data(), block.size()) < 0) return errno;
  }
  return 0;
}

void disk(Attempts& attempts) {
  ::signal(SIGXFSZ, SIG_IGN);
  errno = fill("big");
  attempts.denied("fill the workspace by one file", errno == 0 ? 0 : -1, {EFBIG, ENOSPC, EDQUOT});
  errno = fill("/tmp/big");
  attempts.denied("fill /tmp", errno == 0 ? 0 : -1, {EFBIG, ENOSPC, EDQUOT});
  for (int i = 0; i < number_or("SHM_FILES", 64); ++i) {
    errno = fill("/dev/shm/big" + std::to_string(i));
  }
  attempts.denied("fill /dev/shm", errno == 0 ? 0 : -1, {EFBIG, ENOSPC, EDQUOT});
  const int n_files_max = number_or("FILES", 1'000'000);
  int n_files = 0;
  for (; n_files < n_files_max; ++n_files) {
    const int fd = ::open(("/tmp/" + std::to_string(n_files)).c_str(), O_WRONLY | O_CREAT, 0644);
    if (fd < 0) break;
    ::close(fd);
  }
  attempts.denied(std::to_string(n_files_max) + " files in /tmp", n_files == n_files_max ? 0 : -1,
                  {ENOSPC, EDQUOT});
}

// File after file of 4 MiB, by processes that end at once; ends by itself long before a disk is
// full.
void full_workspace(Attempts& attempts) {
  std::fflush(stdout);
  const std::vector<char> block(4 << 20, 'x');
  const int n_files = number_or("FILL_MB", 2000) / 4;
  for (int i = 0; i < n_files; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const int fd = ::open(("f" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT, 0644);
      ::_exit(::write(fd, block.data(), block.size()) > 0 ? 0 : 1);
    }
    ::waitpid(child, nullptr, 0);
  }
  ::sleep(5);
  attempts.holds(std::to_string(n_files) + " files of 4 MiB were written and nobody minded", false);
}

void full_nameless_file(Attempts& attempts) {
  std::fflush(stdout);
  ::signal(SIGXFSZ, SIG_IGN);
  const int fd = ::open("nameless", O_RDWR | O_CREAT, 0644);
  ::unlink("nameless");
  const std::vector<char> block(4 << 20, 'x');
  const int n_blocks = number_or("FILL_MB", 2000) / 4;
  for (int i = 0; i < n_blocks; ++i) {
    if (::write(fd, block.data(), block.size()) < 0) break;
  }
  ::sleep(5);
  attempts.holds(std::to_string(n_blocks) + " times 4 MiB were written without a name", false);
}

void endless(Attempts& attempts) {
  ::signal(SIGTERM, SIG_IGN);
  std::printf("started\n");
  std::fflush(stdout);
  if (::fork() == 0) {
    for (;;) ::pause();
  }
  if (::fork() == 0) {
    ::setsid();
    volatile unsigned turns = 0;  // a loop without effects could be removed
    for (;;) turns = turns + 1;
  }
  for (;;) ::sleep(60);
  attempts.holds("unreachable", false);
}

void flood(Attempts& attempts) {
  std::vector<char> block(1 << 20);
  for (size_t i = 0; i < block.size(); ++i) block[i] = "\x1b[2J\x1b]0;x\a\n"[i % 11];
  const int n_megabytes = number_or("FLOOD_MB", 1024);
  for (int i = 0; i < n_megabytes; ++i) {
    for (size_t at = 0; at < block.size();) {
      const ssize_t n = ::write(1 + i % 2, block.data() + at, block.size() - at);
      if (n <= 0) ::_exit(3);
      at += static_cast<size_t>(n);
    }
  }
  std::printf("\n");  // behind the flood, on a line of its own
  attempts.holds("all of " + std::to_string(n_megabytes) + " MiB of output was taken", false);
}

void wait_for_ever(Attempts& attempts) { endless(attempts); }

void inheritance(Attempts& attempts) {
  int n_open = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) ++n_open;
  }
  attempts.holds("three descriptors, no more", n_open == 3);
  std::vector<std::string> known = {
      "HOME",     "LANG",     "LOGNAME",      "PATH",      "SHELL",     "TERM",     "TMPDIR",
      "USER",     "READABLE", "HIDDEN",       "REAL_HOME", "MODE",      "TCP_PORT", "UDP_PORT",
      "ABSTRACT", "HOST_PID", "LAUNCHER_PID", "MEMORY_MB", "PROCESSES", "MARKER"};
  if (given("MODE") == "allow") {
    for (const char* name :
         {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}) {
      known.emplace_back(name);
    }
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string name(*variable, std::strcspn(*variable, "="));
    bool expected = false;
    for (const auto& one : known) expected = expected || one == name;
    attempts.holds("the variable " + name + " is on the list", expected);
  }
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Cap", 0) == 0)
      attempts.holds(line, line.find_first_not_of('0', line.find('\t') + 1) == std::string::npos);
  }
}

}  // namespace

AttackTable resource_attacks() {
  return {{"R1", signals},
          {"R2", listing},
          {"R3", fork_bomb},
          {"R4", memory},
          {"R4-unmapped", unmapped_memory},
          {"R5", disk},
          {"R5-workspace", full_workspace},
          {"R5-nameless", full_nameless_file},
          {"R6", endless},
          {"R7", flood},
          {"R8", wait_for_ever},
          {"R9", inheritance}};
}

}  // namespace sable::attack
