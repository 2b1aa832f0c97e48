// K1 to K9: the kernel's own surface.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/attack/attempts.h"

namespace sable::attack {

namespace {

constexpr auto kRefused = {EPERM, ENOSYS};

void io_uring(Attempts& attempts) {
  char parameters[256] = {};
  attempts.denied("io_uring_setup", ::syscall(SYS_io_uring_setup, 8, parameters), kRefused);
  attempts.denied("io_uring_enter", ::syscall(SYS_io_uring_enter, 0, 1, 0, 0, nullptr, 0),
                  kRefused);
  attempts.denied("io_uring_register", ::syscall(SYS_io_uring_register, 0, 0, nullptr, 0),
                  kRefused);
}

void other_processes(Attempts& attempts) {
  const int host = given_number("HOST_PID");
  const auto errors = {EPERM, ESRCH, ENOSYS};
  char buffer[16];
  iovec local{buffer, sizeof buffer}, remote{reinterpret_cast<void*>(0x400000), sizeof buffer};
  for (const int pid : {host, 1, ::getpid()}) {
    const std::string who = " on pid " + std::to_string(pid);
    attempts.denied("ptrace" + who, ::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr), errors);
    if (pid == ::getpid()) continue;  // its own memory is its own
    attempts.denied("process_vm_readv" + who, ::process_vm_readv(pid, &local, 1, &remote, 1, 0),
                    errors);
    attempts.denied("process_vm_writev" + who, ::process_vm_writev(pid, &local, 1, &remote, 1, 0),
                    errors);
    const std::string folder = "/proc/" + std::to_string(pid);
    attempts.denied("memory of pid " + std::to_string(pid),
                    ::open((folder + "/mem").c_str(), O_RDWR), {ENOENT, EACCES, EPERM, EROFS});
    attempts.denied("environment" + who, ::open((folder + "/environ").c_str(), O_RDONLY),
                    {ENOENT, EACCES, EPERM});
  }
  attempts.denied("pidfd_getfd", ::syscall(SYS_pidfd_getfd, ::syscall(SYS_pidfd_open, 1, 0), 3, 0),
                  errors);
  attempts.denied("kcmp", ::syscall(SYS_kcmp, 1, 1, 0, 0, 0), errors);
}

void nested_namespaces(Attempts& attempts) {
  const auto errors = {EPERM, ENOSYS, ENOSPC};
  for (const int flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC,
                         CLONE_NEWUTS, CLONE_NEWCGROUP, 0x80 /* CLONE_NEWTIME */}) {
    attempts.denied("unshare " + std::to_string(flag), ::unshare(flag), errors);
    if (flag == 0x80) continue;
    attempts.denied("clone " + std::to_string(flag),
                    ::syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0), errors);
    attempts.denied("clone with the user namespace " + std::to_string(flag),
                    ::syscall(SYS_clone, flag | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), errors);
  }
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER;
  arguments.exit_signal = SIGCHLD;
  attempts.denied("clone3", ::syscall(SYS_clone3, &arguments, sizeof arguments), errors);
  attempts.denied("setns", ::setns(::open("/proc/self/ns/net", O_RDONLY), CLONE_NEWNET),
                  {EPERM, EBADF});
}

void mounts(Attempts& attempts) {
  const auto errors = {EPERM, ENOSYS};
  attempts.denied("mount a tmpfs", ::mount("none", "/tmp", "tmpfs", 0, nullptr), errors);
  attempts.denied("remount / writable",
                  ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr), errors);
  attempts.denied("bind", ::mount("/usr", "/tmp", nullptr, MS_BIND, nullptr), errors);
  attempts.denied("umount a mask", ::umount2("masked-file", MNT_DETACH), errors);
  attempts.denied("umount /proc", ::umount2("/proc", MNT_DETACH), errors);
  attempts.denied("fsopen", ::fsopen("tmpfs", 0), errors);
  attempts.denied("open_tree", ::open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE), errors);
  attempts.denied("move_mount", ::move_mount(AT_FDCWD, "/usr", AT_FDCWD, "/tmp", 0), errors);
  mount_attr attributes{};
  attributes.attr_clr = MOUNT_ATTR_RDONLY;
  attempts.denied("mount_setattr",
                  ::mount_setattr(AT_FDCWD, "/usr", 0, &attributes, sizeof attributes), errors);
  attempts.denied("pivot_root", ::syscall(SYS_pivot_root, "/tmp", "/tmp"), errors);
}

void kernel_programs(Attempts& attempts) {
  bpf_attr table{};
  table.map_type = BPF_MAP_TYPE_ARRAY;
  table.key_size = table.value_size = 4;
  table.max_entries = 1;
  attempts.denied("bpf", ::syscall(SYS_bpf, BPF_MAP_CREATE, &table, sizeof table), kRefused);
  perf_event_attr event{};
  event.size = sizeof event;
  attempts.denied("perf_event_open", ::syscall(SYS_perf_event_open, &event, 0, -1, -1, 0),
                  kRefused);
  attempts.denied("userfaultfd", ::syscall(SYS_userfaultfd, 1), kRefused);
  attempts.denied("add_key", ::syscall(SYS_add_key, "user", "x", "y", 1, -3), kRefused);
  attempts.denied("keyctl", ::syscall(SYS_keyctl, 0, -3, 1), kRefused);
  attempts.denied("request_key", ::syscall(SYS_request_key, "user", "x", nullptr, -3), kRefused);
}

void machine_state(Attempts& attempts) {
  attempts.denied("init_module", ::syscall(SYS_init_module, nullptr, 0, ""), kRefused);
  attempts.denied("finit_module", ::syscall(SYS_finit_module, 0, "", 0), kRefused);
  attempts.denied("delete_module", ::syscall(SYS_delete_module, "loop", 0), kRefused);
  attempts.denied("kexec_load", ::syscall(SYS_kexec_load, 0, 0, nullptr, 0), kRefused);
  // With a wrong magic number, so that not even a success would restart the machine.
  attempts.denied("reboot", ::syscall(SYS_reboot, 0, 0, 0, nullptr), {EPERM});
  attempts.denied("swapon", ::syscall(SYS_swapon, "/nonexistent", 0), kRefused);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  attempts.denied("clock_settime", ::clock_settime(CLOCK_REALTIME, &now), kRefused);
  // By nothing, so that not even a success would move the machine's clock.
  timex adjust{};
  adjust.modes = ADJ_SETOFFSET;
  attempts.denied("adjtimex", ::adjtimex(&adjust), kRefused);
  attempts.denied("sethostname", ::sethostname("evil", 4), kRefused);
  attempts.denied("syslog", ::syscall(SYS_syslog, 3, nullptr, 0), kRefused);
  attempts.denied("acct", ::syscall(SYS_acct, nullptr), kRefused);
  attempts.denied("iopl", ::syscall(SYS_iopl, 3), kRefused);
}

#ifdef __x86_64__
long old_entry(long number, long a = 0, long b = 0, long c = 0) {
  long result = 0;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(c)
                   : "memory", "r8", "r9", "r10", "r11");
  return result;
}

void old_entries(Attempts& attempts) {
  attempts.killed_by("socket through int 0x80", SIGSYS, [] { old_entry(359, 2, 1, 0); });
  attempts.killed_by("io_uring_setup through int 0x80", SIGSYS, [] { old_entry(425, 8, 0); });
  attempts.killed_by("getpid through int 0x80", SIGSYS, [] { old_entry(20); });
  attempts.killed_by("getpid by the x32 numbers", SIGSYS,
                     [] { ::syscall(0x40000000 | SYS_getpid); });
}
#else
void old_entries(Attempts& attempts) {
  attempts.holds("this architecture has no older entry", true);
}
#endif

void typing(Attempts& attempts) {
  const auto errors = {EPERM, ENOTTY, EBADF};
  const char key = 'x';
  for (const unsigned long request :
       {0x5412UL /* TIOCSTI */, 0x541cUL /* TIOCLINUX */, 0x5423UL /* TIOCSETD */}) {
    for (const unsigned long garbage : {0UL, 0xdeadbeef00000000UL}) {
      attempts.denied("ioctl " + std::to_string(request | garbage),
                      ::syscall(SYS_ioctl, 0, request | garbage, &key), errors);
    }
  }
  attempts.denied("a controlling terminal", ::open("/dev/tty", O_RDWR), {ENXIO, ENOENT, EACCES});
}

void privileges(Attempts& attempts) {
  for (const char* command : {"su -c true", "sudo -n true", "newuidmap 1 0 0 1",
                              "mount -t tmpfs none /tmp", "ping -c 1 127.0.0.1", "pkexec true"}) {
    attempts.holds(
        std::string("refused: ") + command,
        std::system((std::string(command) + " </dev/null >/dev/null 2>&1").c_str()) != 0);
  }
  attempts.holds("copy a program", std::system("cp /usr/bin/true copy") == 0);
  attempts.denied("make it set-uid", ::chmod("copy", 04755), {EPERM});
  attempts.denied("make a set-uid file", ::open("setuid", O_WRONLY | O_CREAT, 04755), {EPERM});
  attempts.denied("become root by setuid(0)", ::getuid() == 0 ? (errno = EPERM, -1) : ::setuid(0),
                  {EPERM, EINVAL});
  attempts.denied("raise a capability", ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0),
                  {EPERM});
  for (const char* path :
       {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/pid_max",
        "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger", "/proc/self/uid_map",
        "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches"}) {
    attempts.denied(std::string("write ") + path, ::open(path, O_WRONLY),
                    {EROFS, EACCES, EPERM, ENOENT});
  }
  char byte = 0;
  for (const char* path :
       {"/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/kallsyms", "/proc/kpagecount"}) {
    const int fd = ::open(path, O_RDONLY);
    attempts.holds(std::string("nothing to read in ") + path, fd < 0 || ::read(fd, &byte, 1) <= 0);
  }
}

}  // namespace

AttackTable kernel_attacks() {
  return {{"K1", io_uring},    {"K2", other_processes}, {"K3", nested_namespaces},
          {"K4", mounts},      {"K5", kernel_programs}, {"K6", machine_state},
          {"K7", old_entries}, {"K8", typing},          {"K9", privileges}};
}

}  // namespace sable::attack
