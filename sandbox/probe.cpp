// What this machine can enforce: each mechanism is tried once in a child of its own, and what it
// answered is reported, good or bad.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string>
#include <string_view>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/host.h"
#include "sandbox/landlock_layer.h"
#include "sandbox/landlock_rights.h"
#include "sandbox/memory_cgroup.h"
#include "sandbox/namespace_remedy.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

namespace {

constexpr const char* kKernelRemedy = "use Linux 5.13 or newer";

// The children below share nothing but the code: after the clone they use system calls only and end
// with the errno of what failed, or 0.
using Attempt = int (*)();

bool write_text(const char* path, std::string_view text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return written;
}

// errno of the failure, or 0. `flags` are CLONE_NEW*.
int try_in_child(unsigned long flags, Attempt attempt) {
  const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  const std::string user_map = user + " " + user + " 1\n", group_map = group + " " + group + " 1\n";
  const auto pid =
      static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (pid < 0) return errno;
  if (pid == 0) {
    if ((flags & CLONE_NEWUSER) != 0) {
      ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
      if (!write_text("/proc/self/setgroups", "deny") ||
          !write_text("/proc/self/gid_map", group_map) ||
          !write_text("/proc/self/uid_map", user_map)) {
        ::_exit(errno);
      }
    }
    ::_exit(attempt());
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
}

int nothing() { return 0; }

int mount_private() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  const int context = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0 || ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return errno;
  const int mount = ::fsmount(context, FSMOUNT_CLOEXEC, 0);
  if (mount < 0 || ::move_mount(mount, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return errno;
  return 0;
}

int mount_processes() {
  const int context = ::fsopen("proc", FSOPEN_CLOEXEC);
  if (context < 0 || ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return errno;
  return ::fsmount(context, FSMOUNT_CLOEXEC, 0) < 0 ? errno : 0;
}

int restrict_mount() {
  const int tree = ::open_tree(
      AT_FDCWD, "/usr", OPEN_TREE_CLONE | static_cast<unsigned>(OPEN_TREE_CLOEXEC) | AT_RECURSIVE);
  if (tree < 0) return errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  return ::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) !=
                 0
             ? errno
             : 0;
}

// What a transaction mounts: in a private folder, since the file system of its store is not known
// yet.
int mount_overlay() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", "/tmp", "tmpfs", 0, nullptr) != 0)
    return errno;
  for (const char* folder : {"/tmp/lower", "/tmp/upper", "/tmp/work"}) {
    if (::mkdir(folder, 0700) != 0) return errno;
  }
  const int context = ::fsopen("overlay", FSOPEN_CLOEXEC);
  if (context < 0 || ::fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", "/tmp/lower", 0) != 0 ||
      ::fsconfig(context, FSCONFIG_SET_STRING, "upperdir", "/tmp/upper", 0) != 0 ||
      ::fsconfig(context, FSCONFIG_SET_STRING, "workdir", "/tmp/work", 0) != 0 ||
      ::fsconfig(context, FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) != 0 ||
      ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return errno;
  return ::fsmount(context, FSMOUNT_CLOEXEC, 0) < 0 ? errno : 0;
}

int resolve_beneath() {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return ::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how) < 0 ? errno : 0;
}

int process_handle() {
  const long fd = ::syscall(SYS_pidfd_open, ::getpid(), 0);
  if (fd < 0) return errno;
  return ::syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0) != 0 ? errno : 0;
}

int no_new_privileges() { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? errno : 0; }

int system_call_filter() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program{1, &allow};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0 ? errno : 0;
}

int landlock_domain() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  const uint64_t handled = landlock::files_known(1);
  const long rules = ::syscall(444, &handled, sizeof handled, 0);
  if (rules < 0) return errno;
  return ::syscall(446, rules, 0) != 0 ? errno : 0;
}

Layer layer(const char* name, int error, std::string enforced, const char* remedy) {
  if (error == 0)
    return {.name = name, .state = Layer::State::enforced, .detail = std::move(enforced)};
  return {.name = name,
          .state = Layer::State::missing,
          .detail = std::strerror(error),
          .remedy = remedy};
}

// For what needs a user namespace first: it says what of it is missing.
Layer namespace_layer(const char* name, std::initializer_list<std::string_view> kinds,
                      unsigned long flags, Attempt attempt, std::string enforced) {
  const int error = try_in_child(CLONE_NEWUSER | flags, attempt);
  Layer result = layer(name, error, std::move(enforced), "");
  if (error != 0) result.remedy = namespace_remedy(namespace_settings(), kinds, error);
  return result;
}

Layer process_limit_layer(const Host& host) {
  Layer result{.name = "process limit", .state = Layer::State::enforced};
  if (host.own_pid_max && host.user != 0) {
    result.detail = "kernel.pid_max of the call's own namespace, and RLIMIT_NPROC";
  } else if (host.own_pid_max) {
    result.detail = "kernel.pid_max of the call's own namespace";
  } else if (host.user != 0) {
    result.detail = "RLIMIT_NPROC";
  } else {
    result.state = Layer::State::missing;
    result.detail =
        "RLIMIT_NPROC does not bind root, and kernel.pid_max belongs to the whole machine";
    result.remedy = "run as an ordinary user, or use Linux 6.14 or newer";
  }
  return result;
}

Layer memory_limit_layer() {
  Layer result{.name = "memory limit", .required = false};
  const auto place = memory_cgroup_place();
  const auto groups = place ? MemoryCgroups::open(*place) : fail(place.error());
  if (groups) {
    result.state = Layer::State::enforced;
    result.detail = "a cgroup of its own for each call, in " + place->folder.string() +
                    " (version " + std::to_string(place->version) + ")";
    return result;
  }
  result.state = Layer::State::degraded;
  result.detail =
      "watcher: pid 1 of the call adds up the memory of its processes every 50 ms; "
      "no cgroups: " +
      groups.error().message;
  result.remedy =
      "let this user make cgroups with the memory controller: on systemd, run it in a service or "
      "scope with Delegate=yes";
  return result;
}

}  // namespace

std::vector<Layer> probe_layers() {
  const Host host = this_host();
  std::vector<Layer> layers;
  layers.push_back(
      namespace_layer("user namespaces", {"user"}, 0, nothing, "one id, mapped to itself"));
  layers.push_back(namespace_layer("mount namespaces", {"user", "mnt"}, CLONE_NEWNS, mount_private,
                                   "a built view on a private tmpfs"));
  layers.push_back(layer("mount attributes",
                         try_in_child(CLONE_NEWUSER | CLONE_NEWNS, restrict_mount),
                         "mount_setattr, recursive",
                         "use Linux 5.12 or newer, and see to it that mount namespaces work"));
  Layer processes =
      namespace_layer("process namespaces", {"user", "mnt", "pid"}, CLONE_NEWNS | CLONE_NEWPID,
                      mount_processes, "with a /proc of their own");
  if (processes.state == Layer::State::missing && layers[1].state != Layer::State::missing &&
      try_in_child(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, nothing) == 0) {
    processes.remedy =
        "a container that covers parts of its /proc forbids a fresh one: start it with an unmasked "
        "/proc";
  }
  layers.push_back(std::move(processes));
  layers.push_back(namespace_layer("network namespaces", {"user", "net"}, CLONE_NEWNET, nothing,
                                   "own, with nothing in it"));
  layers.push_back(namespace_layer("ipc, host name and cgroup namespaces",
                                   {"user", "ipc", "uts", "cgroup"},
                                   CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, nothing, "own"));
  layers.push_back(landlock_layer(
      host.landlock_abi, host.landlock_abi < 1 ? ENOSYS : try_in_child(0, landlock_domain)));
  layers.push_back(layer("seccomp", try_in_child(0, system_call_filter),
                         "known system calls only, arguments filtered",
                         "use a kernel built with CONFIG_SECCOMP_FILTER"));
  layers.push_back(layer("no new privileges", try_in_child(0, no_new_privileges),
                         "and no capabilities", kKernelRemedy));
  layers.push_back(layer("path resolution", try_in_child(0, resolve_beneath),
                         "openat2 without links", kKernelRemedy));
  layers.push_back(
      layer("process handles", try_in_child(0, process_handle), "pidfd", kKernelRemedy));
  layers.push_back(process_limit_layer(host));
  layers.push_back(memory_limit_layer());
  Layer overlay = layer("transactions", try_in_child(CLONE_NEWUSER | CLONE_NEWNS, mount_overlay),
                        "overlayfs in user namespaces, with user extended attributes",
                        "use Linux 5.11 or newer with CONFIG_OVERLAY_FS, whose module is loaded or "
                        "built in; nothing else needs it");
  overlay.required = false;
  layers.push_back(std::move(overlay));
  return layers;
}

}  // namespace sable::sandbox
