#include "sandbox/host.h"

#include <cstdio>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

PathFacts look_up(const fs::path& path) {
  PathFacts facts;
  std::error_code error;
  fs::path walked;
  for (const auto& part : path) {
    walked /= part;
    if (fs::is_symlink(fs::symlink_status(walked, error))) {
      facts.first_link = walked;
      break;
    }
  }
  if (facts.first_link == path) facts.link_text = fs::read_symlink(path, error).string();

  facts.canonical = fs::canonical(path, error);
  if (error) {
    facts.canonical.clear();
    const bool absent =
        error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
    facts.kind = absent ? PathFacts::Kind::missing : PathFacts::Kind::unreadable;
    return facts;
  }
  struct stat seen {};
  if (::lstat(facts.canonical.c_str(), &seen) != 0) {
    facts.kind = PathFacts::Kind::unreadable;
    return facts;
  }
  facts.device = seen.st_dev;
  facts.inode = seen.st_ino;
  if (S_ISDIR(seen.st_mode)) {
    facts.kind = PathFacts::Kind::folder;
  } else if (S_ISREG(seen.st_mode)) {
    facts.kind = PathFacts::Kind::file;
  } else if (S_ISCHR(seen.st_mode)) {
    facts.kind = PathFacts::Kind::device;
  } else {
    facts.kind = PathFacts::Kind::other;
  }
  return facts;
}

// The pid namespaces of older kernels share the host's pid_max, and there root's write would change
// it for the whole machine: so the version decides, not a trial.
bool pid_max_is_namespaced() {
  utsname name{};
  int major = 0, minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 14);
}

}  // namespace

Host this_host() {
  Host host;
  host.user = ::geteuid();
  host.group = ::getegid();
  constexpr unsigned kVersionQuery = 1;
  const long abi = ::syscall(444 /* landlock_create_ruleset */, nullptr, 0, kVersionQuery);
  host.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0;
  host.own_pid_max = pid_max_is_namespaced();
  host.look_up = look_up;
  return host;
}

}  // namespace sable::sandbox
