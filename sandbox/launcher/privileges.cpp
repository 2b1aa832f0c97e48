// What pid 1 gives up, in this order: limits, capabilities, new privileges, file rights, system
// calls.
#include <cstring>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sandbox/landlock_rights.h"
#include "sandbox/launcher/call.h"
#include "sandbox/launcher/kernel.h"
#include "sandbox/launcher/left_out.h"

namespace sable::sandbox {

namespace {

static_assert(sizeof(FilterInstruction) == sizeof(sock_filter));

void write_map(const char* path, const char* text, size_t size, const FailureReport& report) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, text, size) != static_cast<ssize_t>(size)) report.fail(Step::map_user);
  ::close(fd);
}

// "ID ID 1\n"
size_t one_id(char* out, uint32_t id) {
  char digits[12];
  size_t n = 0;
  do {
    digits[n++] = static_cast<char>('0' + id % 10);
    id /= 10;
  } while (id != 0);
  size_t size = 0;
  for (int twice = 0; twice < 2; ++twice) {
    for (size_t i = n; i > 0; --i) out[size++] = digits[i - 1];
    out[size++] = ' ';
  }
  out[size++] = '1';
  out[size++] = '\n';
  return size;
}

void set_limit(__rlimit_resource_t resource, uint64_t value, const FailureReport& report) {
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) report.fail(Step::set_resource_limits);
  // Never more than we have ourselves: raising a hard limit needs a privilege of the host.
  const rlim_t limit = value < now.rlim_max ? value : now.rlim_max;
  const rlimit wanted{limit, limit};
  if (::setrlimit(resource, &wanted) != 0) report.fail(Step::set_resource_limits);
}

uint64_t rights_of(Access access, bool is_folder) {
  using namespace landlock;
  uint64_t rights = 0;
  switch (access) {
    case Access::none:
      break;
    case Access::list:
      rights = kReadDir;
      break;
    case Access::read:
      rights = kExecute | kReadFile | kReadDir;
      break;
    case Access::write:
      rights = ~(kMakeChar | kMakeBlock);
      break;
    case Access::device:
      rights = kReadFile | kWriteFile | kTruncate | kIoctlDev;
      break;
  }
  return is_folder ? rights : rights & kOfFiles;
}

[[maybe_unused]] void restrict_files(PreparedCall& call, const FailureReport& report) {
  const Plan& plan = call.plan;
  const kernel::landlock_ruleset_attr attributes{plan.landlock_files, plan.landlock_network,
                                                 plan.landlock_scopes};
  // An older kernel knows a shorter structure; zeros beyond what it knows are accepted.
  const int rules = kernel::landlock_create_ruleset(&attributes, sizeof attributes, 0);
  if (rules < 0) report.fail(Step::landlock_rules);
  for (const LandlockRule& granted : call.rules) {
    struct stat seen {};
    if (::fstat(granted.place, &seen) != 0) report.fail(Step::landlock_rules);
    const uint64_t rights = rights_of(granted.access, S_ISDIR(seen.st_mode)) & plan.landlock_files;
    const kernel::landlock_path_beneath_attr rule{rights, granted.place};
    if (rights != 0 &&
        kernel::landlock_add_rule(rules, kernel::kLandlockRulePathBeneath, &rule) != 0) {
      report.fail(Step::landlock_rules);
    }
  }
  if (kernel::landlock_restrict_self(rules) != 0) report.fail(Step::landlock_restrict);
  ::close(rules);
}

[[maybe_unused]] void drop_capabilities(const FailureReport& report) {
  constexpr unsigned long kBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, kBits, 0, 0, 0) != 0) report.fail(Step::drop_capabilities);
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL && capability > CAP_SETFCAP) break;  // beyond the last one that exists
    report.fail(Step::drop_capabilities);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) report.fail(Step::drop_capabilities);
}

}  // namespace

void map_user(const Plan& plan, const FailureReport& report) {
  // The launcher is not dumpable, so its /proc files belong to the host's root; for the moment of
  // writing the maps they must be our own.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  char text[40];
  write_map("/proc/self/setgroups", "deny", 4, report);
  size_t size = one_id(text, plan.user);
  write_map("/proc/self/uid_map", text, size, report);
  size = one_id(text, plan.group);
  write_map("/proc/self/gid_map", text, size, report);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void set_resource_limits(const Plan& plan, const FailureReport& report) {
  set_limit(RLIMIT_CORE, 0, report);
  set_limit(RLIMIT_CPU, plan.cpu_seconds, report);
  set_limit(RLIMIT_FSIZE, plan.file_bytes, report);
  set_limit(RLIMIT_NOFILE, plan.open_files, report);
  if (plan.processes != 0) set_limit(RLIMIT_NPROC, plan.processes + 1, report);  // and pid 1
}

void drop_privileges(PreparedCall& call, const FailureReport& report) {
  if constexpr (kLeftOut != LeftOut::capability_drop) drop_capabilities(report);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) report.fail(Step::no_new_privileges);
  if constexpr (kLeftOut != LeftOut::landlock) restrict_files(call, report);
  if constexpr (kLeftOut == LeftOut::seccomp) return;
  for (const Filter& filter : call.plan.filters) {
    const sock_fprog program{
        static_cast<unsigned short>(filter.size()),
        const_cast<sock_filter*>(reinterpret_cast<const sock_filter*>(filter.data()))};
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
      report.fail(Step::install_filter);
    }
  }
}

}  // namespace sable::sandbox
