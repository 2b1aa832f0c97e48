// The built view: a private tmpfs as the root, pieces of the host bound into it, and nothing else.
#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <utility>

#include "sandbox/launcher/call.h"
#include "sandbox/launcher/kernel.h"
#include "sandbox/launcher/left_out.h"

namespace sable::sandbox {

namespace {

constexpr uint64_t kNoLinks = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
constexpr const char* kEmptyFile = ".empty-file";
constexpr const char* kEmptyFolder = ".empty-folder";

// Decimal digits without stdio.
class Decimal {
 public:
  explicit Decimal(uint64_t value) {
    char* end = text_ + sizeof text_ - 1;
    *end = '\0';
    begin_ = end;
    do {
      *--begin_ = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
  }
  const char* c_str() const { return begin_; }

 private:
  char text_[24];
  char* begin_;
};

// "/usr/lib" below the root's descriptor; the root itself is ".".
const char* relative(const std::string& absolute) {
  const char* path = absolute.c_str();
  while (*path == '/') ++path;
  return *path == '\0' ? "." : path;
}

class ViewBuilder {
 public:
  ViewBuilder(PreparedCall& call, const FailureReport& report) : call_(call), report_(report) {}

  void build() {
    const Role role = call_.plan.role;
    if (role == Role::worker) {
      enter_shared_root();
    } else {
      create_root();
    }
    const auto& view = call_.plan.view;
    for (size_t i = 0; i < view.size(); ++i) {
      index_ = static_cast<int>(i);
      make(view[i]);
    }
    index_ = -1;
    if (role == Role::keeper) {
      // Its workers go on from here: each in a copy of these mounts.
      make_covers();
      if (::fchdir(root_) != 0) fail(Step::change_root);
      return;
    }
    if (covers_made_ && role == Role::call) {
      ::unlinkat(root_, kEmptyFile, 0);
      ::unlinkat(root_, kEmptyFolder, AT_REMOVEDIR);
    }
    close_process_folder();
    set_attributes(root_, MOUNT_ATTR_RDONLY, 0);
    enter_root();
  }

 private:
  [[noreturn]] void fail(Step step) const { report_.fail(step, index_); }

  void create_root() {
    // Nothing that we mount may travel to the host, nothing of the host's to us.
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      fail(Step::private_mounts);
    const int context = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0) fail(Step::private_file_system);
    const Decimal bytes(call_.plan.private_bytes), files(call_.plan.private_files);
    if (::fsconfig(context, FSCONFIG_SET_STRING, "size", bytes.c_str(), 0) != 0 ||
        ::fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", files.c_str(), 0) != 0 ||
        ::fsconfig(context, FSCONFIG_SET_STRING, "mode", "755", 0) != 0 ||
        ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
      fail(Step::private_file_system);
    }
    root_ = ::fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    ::close(context);
    // On top of "/": our own paths still start at the old root below it, so the sources of binds
    // stay reachable by their names, while the new tree is reached through the descriptor only.
    if (root_ < 0 || ::move_mount(root_, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      fail(Step::private_file_system);
    }
  }

  // The keeper's working directory is the root it made, and ours its copy.
  void enter_shared_root() {
    root_ = ::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_ < 0) fail(Step::private_file_system);
    covers_made_ = true;
  }

  void make(const ViewEntry& entry) {
    int fd = -1;
    switch (entry.kind) {
      case ViewKind::directory:
        make_directory(entry);
        if (entry.access != Access::none) fd = open_target(entry);
        break;
      case ViewKind::symlink:
        if (::symlinkat(entry.source.c_str(), root_, relative(entry.target)) != 0) {
          fail(Step::make_symlink);
        }
        break;
      case ViewKind::empty_file: {
        const int file = ::openat(root_, relative(entry.target),
                                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (file < 0) fail(Step::make_file);
        ::close(file);
        break;
      }
      case ViewKind::private_folder:
        make_directory(entry);
        fd = clone_tree(root_, relative(entry.target), 0);
        set_attributes(fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0);
        attach(fd, entry);
        break;
      case ViewKind::bind:
        fd = bind(entry);
        break;
      case ViewKind::overlay:
        fd = overlay(entry);
        break;
      case ViewKind::process_folder:
        fd = process_folder(entry);
        break;
      case ViewKind::terminal_folder:
        fd = terminal_folder(entry);
        break;
      case ViewKind::cover_file:
      case ViewKind::cover_folder:
        cover(entry);
        break;
    }
    if (fd < 0) return;
    if (entry.access == Access::none) {
      ::close(fd);
    } else {
      call_.rules.push_back({entry.access, fd});
    }
  }

  void make_directory(const ViewEntry& entry) {
    if (::mkdirat(root_, relative(entry.target), entry.mode) != 0) {
      if (errno != EEXIST) fail(Step::make_directory);
      return;
    }
    // The umask does not decide what the plan says.
    if ((entry.mode & 07777) != 0755 &&
        ::fchmodat(root_, relative(entry.target), entry.mode, 0) != 0) {
      fail(Step::make_directory);
    }
  }

  int open_target(const ViewEntry& entry) const {
    const int fd =
        kernel::openat2(root_, relative(entry.target), O_PATH | O_NOFOLLOW | O_CLOEXEC, kNoLinks);
    if (fd < 0) fail(Step::attach_mount);
    return fd;
  }

  int clone_tree(int folder, const char* path, unsigned flags) const {
    const int tree = ::open_tree(
        folder, path, OPEN_TREE_CLONE | static_cast<unsigned>(OPEN_TREE_CLOEXEC) | flags);
    if (tree < 0) fail(Step::clone_mount);
    return tree;
  }

  void set_attributes(int mount, uint64_t attributes, unsigned flags) const {
    if constexpr (kLeftOut == LeftOut::read_only_mounts) attributes &= ~uint64_t{MOUNT_ATTR_RDONLY};
    mount_attr attr{};
    attr.attr_set = attributes;
    if (::mount_setattr(mount, "", static_cast<unsigned>(AT_EMPTY_PATH) | flags, &attr,
                        sizeof attr) != 0) {
      fail(Step::restrict_mount);
    }
  }

  void attach(int mount, const ViewEntry& entry) const {
    const int target = open_target(entry);
    if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) !=
        0) {
      fail(Step::attach_mount);
    }
    ::close(target);
  }

  int open_source(const ViewEntry& entry) const {
    const int source =
        kernel::openat2(AT_FDCWD, entry.source.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC, kNoLinks);
    if (source < 0) fail(Step::open_source);
    struct stat seen {};
    if (::fstat(source, &seen) != 0) fail(Step::open_source);
    if (seen.st_ino != entry.inode || seen.st_dev != entry.device) {
      errno = ESTALE;
      fail(Step::source_changed);
    }
    return source;
  }

  // The layers are named by descriptors that were opened without following links.
  int overlay(const ViewEntry& entry) const {
    const int lower = open_source(entry);
    const int store =
        kernel::openat2(AT_FDCWD, entry.store.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC, kNoLinks);
    if (store < 0) fail(Step::open_source);
    const int upper = kernel::openat2(store, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC, kNoLinks);
    const int work = kernel::openat2(store, "work", O_PATH | O_DIRECTORY | O_CLOEXEC, kNoLinks);
    if (upper < 0 || work < 0) fail(Step::open_source);
    const int context = ::fsopen("overlay", FSOPEN_CLOEXEC);
    if (context < 0) fail(Step::mount_overlay);
    const std::pair<const char*, int> layers[] = {
        {"lowerdir", lower}, {"upperdir", upper}, {"workdir", work}};
    for (const auto& [key, fd] : layers) {
      char path[40] = "/proc/self/fd/";
      std::strcat(path, Decimal(static_cast<uint64_t>(fd)).c_str());
      if (::fsconfig(context, FSCONFIG_SET_STRING, key, path, 0) != 0) fail(Step::mount_overlay);
    }
    if (::fsconfig(context, FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) != 0 ||
        ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
      fail(Step::mount_overlay);
    }
    const int mount = ::fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (mount < 0) fail(Step::mount_overlay);
    attach(mount, entry);
    for (const int fd : {lower, store, upper, work, context}) ::close(fd);
    return mount;
  }

  int bind(const ViewEntry& entry) const {
    const int source = open_source(entry);
    const int tree = clone_tree(source, "", AT_EMPTY_PATH | AT_RECURSIVE);
    ::close(source);
    uint64_t attributes = MOUNT_ATTR_NOSUID;
    if (entry.access != Access::device) attributes |= MOUNT_ATTR_NODEV;
    if (entry.access != Access::write && entry.access != Access::device) {
      attributes |= MOUNT_ATTR_RDONLY;
    }
    if (entry.access == Access::device) attributes |= MOUNT_ATTR_NOEXEC;
    set_attributes(tree, attributes, AT_RECURSIVE);
    attach(tree, entry);
    return tree;
  }

  int process_folder(const ViewEntry& entry) {
    const int context = ::fsopen("proc", FSOPEN_CLOEXEC);
    if (context < 0 || ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
      fail(Step::mount_process_folder);
    }
    const int mount = ::fsmount(context, FSMOUNT_CLOEXEC,
                                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    ::close(context);
    if (mount < 0) fail(Step::mount_process_folder);
    attach(mount, entry);
    proc_ = ::dup(mount);
    if (proc_ < 0) fail(Step::mount_process_folder);
    return mount;
  }

  int terminal_folder(const ViewEntry& entry) const {
    const int context = ::fsopen("devpts", FSOPEN_CLOEXEC);
    if (context < 0 || ::fsconfig(context, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0) != 0 ||
        ::fsconfig(context, FSCONFIG_SET_STRING, "mode", "0600", 0) != 0 ||
        ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
      fail(Step::mount_terminal_folder);
    }
    const int mount = ::fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    ::close(context);
    if (mount < 0) fail(Step::mount_terminal_folder);
    attach(mount, entry);
    return mount;
  }

  // When all mounts are made: cloning one counts as a mount namespace. From here on /proc is
  // read-only.
  void close_process_folder() {
    if (proc_ < 0) return;
    write_settings(proc_);
    set_attributes(proc_, MOUNT_ATTR_RDONLY, 0);
    ::close(proc_);
  }

  void forbid_namespaces(int proc) const {
    for (const char* kind : {"sys/user/max_user_namespaces", "sys/user/max_net_namespaces",
                             "sys/user/max_ipc_namespaces", "sys/user/max_uts_namespaces",
                             "sys/user/max_cgroup_namespaces"}) {
      if (!write_file(proc, kind, "0")) fail(Step::forbid_namespaces);
    }
    // A keeper makes these two for the calls to come. Without a new user namespace nobody else can.
    for (const char* kind : {"sys/user/max_mnt_namespaces", "sys/user/max_pid_namespaces"}) {
      if (call_.plan.role == Role::call && !write_file(proc, kind, "0")) {
        fail(Step::forbid_namespaces);
      }
    }
  }

  void write_settings(int proc) const {
    if constexpr (kLeftOut != LeftOut::namespace_limits) forbid_namespaces(proc);
    if (call_.plan.pid_max != 0) {
      const Decimal limit(call_.plan.pid_max);
      if (!write_file(proc, "sys/kernel/pid_max", limit.c_str())) fail(Step::limit_processes);
      // Process numbers below 300 are given out once only; starting above them makes the bound
      // exact. Where the kernel lacks this setting the bound is up to 300 higher until they are
      // used up.
      write_file(proc, "sys/kernel/ns_last_pid", "300");
    }
    // Multipath TCP passes by Landlock's rules for TCP; seccomp refuses it as well.
    if (call_.plan.own_network) write_file(proc, "sys/net/mptcp/enabled", "0");
    // When memory runs out, the kernel shall take this call before anything of the host.
    write_file(proc, "self/oom_score_adj", "500");
  }

  static bool write_file(int folder, const char* path, const char* text) {
    const int fd = ::openat(folder, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const size_t size = std::strlen(text);
    const bool written = ::write(fd, text, size) == static_cast<ssize_t>(size);
    const int error = errno;
    ::close(fd);
    errno = error;
    return written;
  }

  void make_covers() {
    if (covers_made_) return;
    const int file = ::openat(root_, kEmptyFile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (file < 0 || ::mkdirat(root_, kEmptyFolder, 0555) != 0) fail(Step::make_file);
    ::close(file);
    covers_made_ = true;
  }

  void cover(const ViewEntry& entry) {
    make_covers();
    // The first cover of a kind is made read-only; the next are clones of it, and so as well.
    const bool folder = entry.kind == ViewKind::cover_folder;
    int& first = folder ? folder_cover_ : file_cover_;
    int tree = -1;
    if (first >= 0) {
      tree = clone_tree(first, "", AT_EMPTY_PATH);
    } else {
      first = tree = clone_tree(root_, folder ? kEmptyFolder : kEmptyFile, 0);
      set_attributes(
          tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0);
    }
    attach(tree, entry);
    if (tree != first) ::close(tree);
  }

  void enter_root() {
    // The new root is mounted on the old one, so both arguments are "."; the old root then lies on
    // top of the new and is detached with all that is mounted in it.
    if (::fchdir(root_) != 0 || kernel::pivot_root(".", ".") != 0) fail(Step::change_root);
    if (::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) fail(Step::leave_old_root);
    ::close(root_);
  }

  PreparedCall& call_;
  const FailureReport& report_;
  int root_ = -1, proc_ = -1, file_cover_ = -1, folder_cover_ = -1;
  int index_ = -1;
  bool covers_made_ = false;
};

}  // namespace

void build_view(PreparedCall& call, const FailureReport& report) {
  ViewBuilder(call, report).build();
}

}  // namespace sable::sandbox
