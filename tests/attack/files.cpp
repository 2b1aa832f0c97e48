// F1 to F12 without F5 (which is about tools that run in the agent's own process).
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/attack/attempts.h"

namespace sable::attack {

namespace {

constexpr auto kNoWrite = {EROFS, EACCES, ENOENT, EPERM};
constexpr auto kNoMetadata = {EROFS, EACCES, EPERM, ENOENT, EINVAL, EOPNOTSUPP};

// A folder that may be read and not written, and one that is not in the view.
std::string readable(const char* name) { return given("READABLE") + "/" + name; }
std::string hidden(const char* name) { return given("HIDDEN") + "/" + name; }

void try_to_write(Attempts& attempts, const std::string& path) {
  attempts.denied("write " + path, ::open(path.c_str(), O_WRONLY), kNoWrite);
  attempts.denied("append " + path, ::open(path.c_str(), O_WRONLY | O_APPEND), kNoWrite);
  attempts.denied("create " + path + ".new",
                  ::open((path + ".new").c_str(), O_WRONLY | O_CREAT, 0644), kNoWrite);
  attempts.denied("remove " + path, ::unlink(path.c_str()), kNoWrite);
}

void absolute_paths(Attempts& attempts) {
  for (const auto& path :
       {readable("file"), hidden("file"), std::string("/etc/passwd"), std::string("/usr/bin/env"),
        std::string("/evil"), std::string("/dev/evil")}) {
    try_to_write(attempts, path);
  }
  attempts.denied("write the FIFO of a readable folder",
                  ::open(readable("fifo").c_str(), O_RDWR | O_NONBLOCK), kNoWrite);
}

void dot_dots(Attempts& attempts) {
  const std::string up = "../../../../../../../../../../..";
  try_to_write(attempts, up + readable("file"));
  try_to_write(attempts, up + hidden("file"));
  try_to_write(attempts, up + "/etc/passwd");
  const int folder = ::open(given("READABLE").c_str(), O_PATH | O_DIRECTORY);
  attempts.denied("openat below a folder", ::openat(folder, "file", O_WRONLY), kNoWrite);
  if (::fchdir(folder) == 0) {
    attempts.denied("write from a working directory outside", ::open("file", O_WRONLY), kNoWrite);
    attempts.denied("create there", ::open("new", O_WRONLY | O_CREAT, 0644), kNoWrite);
  }
}

void symbolic_links(Attempts& attempts) {
  attempts.holds("make links", ::symlink(readable("file").c_str(), "to-file") == 0 &&
                                   ::symlink(given("READABLE").c_str(), "to-folder") == 0 &&
                                   ::symlink(hidden("file").c_str(), "to-hidden") == 0);
  attempts.denied("write through a link to a file", ::open("to-file", O_WRONLY), kNoWrite);
  attempts.denied("write through a link to a folder", ::open("to-folder/file", O_WRONLY), kNoWrite);
  attempts.denied("create through a link", ::open("to-folder/new", O_WRONLY | O_CREAT, 0644),
                  kNoWrite);
  attempts.denied("read a hidden file through a link", ::open("to-hidden", O_RDONLY),
                  {ENOENT, EACCES});
  std::string target = readable("file");
  for (int i = 0; i < 41; ++i) {
    const std::string name = "chain" + std::to_string(i);
    if (::symlink(target.c_str(), name.c_str()) != 0) break;
    target = name;
  }
  attempts.denied("write through a chain of links", ::open(target.c_str(), O_WRONLY), {ELOOP});
}

void hard_links(Attempts& attempts) {
  const auto errors = {EXDEV, EPERM, EACCES, ENOENT, EROFS};
  attempts.denied("link a readable file in", ::link(readable("file").c_str(), "hard"), errors);
  attempts.denied("link a hidden file in", ::link(hidden("file").c_str(), "hard"), errors);
  const int fd = ::open(readable("file").c_str(), O_RDONLY);
  attempts.denied("link a descriptor in", ::linkat(fd, "", AT_FDCWD, "hard", AT_EMPTY_PATH),
                  errors);
  const std::string magic = "/proc/self/fd/" + std::to_string(fd);
  attempts.denied("link through /proc/self/fd",
                  ::linkat(AT_FDCWD, magic.c_str(), AT_FDCWD, "hard", AT_SYMLINK_FOLLOW), errors);
  attempts.denied("reopen it for writing through /proc/self/fd", ::open(magic.c_str(), O_RDWR),
                  kNoWrite);
}

void metadata(Attempts& attempts) {
  const std::string path = readable("file");
  attempts.denied("chmod", ::chmod(path.c_str(), 0777), kNoMetadata);
  attempts.denied("chown", ::chown(path.c_str(), ::getuid(), ::getgid()), kNoMetadata);
  const timespec times[2] = {{1, 0}, {1, 0}};
  attempts.denied("utimensat", ::utimensat(AT_FDCWD, path.c_str(), times, 0), kNoMetadata);
  attempts.denied("setxattr", ::setxattr(path.c_str(), "user.x", "y", 1, 0), kNoMetadata);
  attempts.denied("set an access list",
                  ::setxattr(path.c_str(), "system.posix_acl_access", "\2\0\0\0", 4, 0),
                  kNoMetadata);
  const int fd = ::open(path.c_str(), O_RDONLY);
  attempts.denied("fchmod", ::fchmod(fd, 0777), kNoMetadata);
  attempts.denied("fchown", ::fchown(fd, ::getuid(), ::getgid()), kNoMetadata);
  attempts.denied("futimens", ::futimens(fd, times), kNoMetadata);
  attempts.denied("fsetxattr", ::fsetxattr(fd, "user.x", "y", 1, 0), kNoMetadata);
  const std::string magic = "/proc/self/fd/" + std::to_string(fd);
  attempts.denied("chmod through /proc/self/fd", ::chmod(magic.c_str(), 0777), kNoMetadata);
  attempts.denied("fchmodat2", ::syscall(452, AT_FDCWD, path.c_str(), 0777, 0),
                  {ENOSYS, EPERM, EROFS});
}

void truncation(Attempts& attempts) {
  const std::string path = readable("file");
  attempts.denied("truncate", ::truncate(path.c_str(), 0), kNoWrite);
  attempts.denied("O_TRUNC", ::open(path.c_str(), O_RDONLY | O_TRUNC), kNoWrite);
  attempts.denied("creat", ::creat(path.c_str(), 0644), kNoWrite);
  const int fd = ::open(path.c_str(), O_RDONLY);
  attempts.denied("fallocate", ::fallocate(fd, 0, 0, 4096), {EBADF, EROFS, EACCES});
  attempts.denied("ftruncate", ::ftruncate(fd, 0), {EINVAL, EBADF, EROFS, EACCES});
}

void renames(Attempts& attempts) {
  const auto errors = {EXDEV, EROFS, EACCES, ENOENT};
  const int made = ::open("inside", O_WRONLY | O_CREAT, 0644);
  attempts.holds("make a file inside", made >= 0);
  attempts.denied("rename out", ::rename("inside", readable("out").c_str()), errors);
  attempts.denied("rename in", ::rename(readable("file").c_str(), "stolen"), errors);
  constexpr unsigned kExchange = 2;
  attempts.denied(
      "exchange",
      ::syscall(SYS_renameat2, AT_FDCWD, "inside", AT_FDCWD, readable("file").c_str(), kExchange),
      errors);
  attempts.denied("rename into the hidden folder", ::rename("inside", hidden("out").c_str()),
                  errors);
}

void secrets(Attempts& attempts) {
  const auto errors = {ENOENT, EACCES};
  for (const std::string& path :
       {hidden("file"), hidden(".ssh/id_ed25519"), given("REAL_HOME") + "/.ssh",
        given("REAL_HOME") + "/.aws", given("REAL_HOME") + "/.bash_history",
        std::string("/etc/shadow"), std::string("/etc/gshadow"), std::string("/etc/ssl/private"),
        std::string("/root/.bashrc"), std::string("/home"), std::string("/var/lib"),
        std::string("/sys/kernel"), std::string("/boot"), std::string("/run/secrets")}) {
    attempts.denied("read " + path, ::open(path.c_str(), O_RDONLY), errors);
    struct stat seen {};
    attempts.denied("stat " + path, ::stat(path.c_str(), &seen), errors);
  }
  attempts.denied("read a masked file's content",
                  [] {
                    const int fd = ::open("masked-file", O_RDONLY);
                    char byte = 0;
                    const bool content = fd >= 0 && ::read(fd, &byte, 1) > 0;
                    errno = EACCES;
                    return content ? 0L : -1L;
                  }(),
                  {EACCES});
}

void agent_state(Attempts& attempts) {
  for (const char* name : {"sable.db", "sable.db-wal", "log", "config.yaml"}) {
    attempts.denied(std::string("read the agent's ") + name, ::open(hidden(name).c_str(), O_RDONLY),
                    {ENOENT, EACCES});
    attempts.denied(std::string("write the agent's ") + name,
                    ::open(hidden(name).c_str(), O_WRONLY | O_CREAT, 0600),
                    {ENOENT, EACCES, EROFS});
  }
}

void devices(Attempts& attempts) {
  const auto errors = {EPERM, EACCES};
  attempts.denied("make a null device", ::mknod("null", S_IFCHR | 0666, makedev(1, 3)), errors);
  attempts.denied("make a disk", ::mknod("disk", S_IFBLK | 0666, makedev(254, 0)), errors);
  attempts.denied("make a disk in /tmp", ::mknod("/tmp/disk", S_IFBLK | 0666, makedev(254, 0)),
                  errors);
  for (const char* path : {"/dev/vda", "/dev/sda", "/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/kvm",
                           "/dev/tty", "/dev/ptmx", "/dev/net/tun"}) {
    attempts.denied(std::string("open ") + path, ::open(path, O_RDWR),
                    {ENOENT, ENXIO, EACCES, EPERM});
  }
}

void ways_out(Attempts& attempts) {
  const std::string secret = hidden("file");
  for (const std::string& root :
       {std::string("/proc/self/root"), std::string("/proc/self/cwd/../../../../../.."),
        std::string("/proc/1/root"), std::string("/proc/1/cwd")}) {
    attempts.denied("read the hidden file through " + root,
                    ::open((root + secret).c_str(), O_RDONLY), {ENOENT, EACCES, EPERM});
    attempts.denied("read /etc/shadow through " + root,
                    ::open((root + "/etc/shadow").c_str(), O_RDONLY), {ENOENT, EACCES, EPERM});
  }
  const int kept = ::open("/", O_RDONLY | O_DIRECTORY);
  ::mkdir("jail", 0755);
  attempts.denied("chroot", ::chroot("jail"), {EPERM});
  attempts.denied("climb from a kept descriptor",
                  ::openat(kept, ("../../.." + secret).c_str(), O_RDONLY), {ENOENT, EACCES});
  struct {
    file_handle handle;
    unsigned char bytes[128];
  } file{};
  file.handle.handle_bytes = 128;
  int mount = 0;
  // A handle is a name only; if none is given out, an empty one is tried.
  (void)::syscall(SYS_name_to_handle_at, AT_FDCWD, "/usr", &file.handle, &mount, 0);
  attempts.denied("open a file by its handle",
                  ::syscall(SYS_open_by_handle_at, AT_FDCWD, &file.handle, O_RDONLY), {EPERM});
}

}  // namespace

AttackTable file_attacks() {
  return {{"F1", absolute_paths}, {"F2", dot_dots},   {"F3", symbolic_links}, {"F4", hard_links},
          {"F6", metadata},       {"F7", truncation}, {"F8", renames},        {"F9", secrets},
          {"F10", agent_state},   {"F11", devices},   {"F12", ways_out}};
}

}  // namespace sable::attack
