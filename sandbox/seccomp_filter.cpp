#include "sandbox/seccomp_filter.h"

#include <fcntl.h>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/unique_fd.h"
#include "sandbox/seccomp_calls.h"

namespace sable::sandbox {

namespace {

static_assert(sizeof(FilterInstruction) == 8);

constexpr uint64_t kLow32 = 0xffffffff;  // the kernel takes an int: what lies above must not decide

struct ContextDeleter {
  void operator()(void* context) const { ::seccomp_release(context); }
};

/// A libseccomp context that remembers the first error.
class FilterBuilder {
 public:
  explicit FilterBuilder(uint32_t default_action) : context_(::seccomp_init(default_action)) {
    if (!context_) {
      error_ = ENOMEM;
      return;
    }
    note(::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    note(::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));  // a binary tree
  }

  template <class... Comparisons>
  void add(uint32_t action, const char* name, Comparisons... comparisons) {
    if (error_ != 0) return;
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number < 0) return;  // unknown here: the default answers it
    const scmp_arg_cmp list[] = {comparisons..., scmp_arg_cmp{}};
    note(::seccomp_rule_add_array(context_.get(), action, number, sizeof...(comparisons), list));
  }

  Result<Filter> compile() {
    if (error_ != 0) return fail_errno("compiling the seccomp filter", error_);
    const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
    if (!file) return fail_errno("memfd_create", errno);
    note(::seccomp_export_bpf(context_.get(), file.get()));
    if (error_ != 0) return fail_errno("compiling the seccomp filter", error_);
    struct stat seen {};
    if (::fstat(file.get(), &seen) != 0) return fail_errno("fstat", errno);
    Filter filter(static_cast<size_t>(seen.st_size) / sizeof(FilterInstruction));
    const size_t bytes = filter.size() * sizeof(FilterInstruction);
    if (::pread(file.get(), filter.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
      return fail_errno("pread", errno);
    }
    return filter;
  }

 private:
  void note(int result) {
    if (error_ == 0 && result < 0) error_ = -result;
  }

  std::unique_ptr<void, ContextDeleter> context_;
  int error_ = 0;
};

scmp_arg_cmp equals(unsigned argument, uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, kLow32, value};
}
scmp_arg_cmp has_bit(unsigned argument, uint64_t bit) {
  return {argument, SCMP_CMP_MASKED_EQ, bit, bit};
}
scmp_arg_cmp masked(unsigned argument, uint64_t mask, uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
scmp_arg_cmp above(unsigned argument, uint64_t value) { return {argument, SCMP_CMP_GT, value, 0}; }

Result<Filter> numbers_filter() {
  FilterBuilder filter(SCMP_ACT_ERRNO(ENOSYS));
  for (const char* name : kAllowedCalls) filter.add(SCMP_ACT_ALLOW, name);
  for (const char* name : kDeniedCalls) filter.add(SCMP_ACT_ERRNO(EPERM), name);
  // Asking which personality one has is harmless; having another one switches protections off.
  filter.add(SCMP_ACT_ALLOW, "personality", equals(0, 0xffffffff));
  filter.add(SCMP_ACT_ALLOW, "personality", equals(0, 0));
  return filter.compile();
}

void deny_namespaces(FilterBuilder& filter) {
  // CLONE_NEWTIME is left out: in clone() its bit belongs to the exit signal.
  for (const uint64_t flag : {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                              CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    filter.add(SCMP_ACT_ERRNO(EPERM), "clone", has_bit(0, flag));
  }
}

void deny_set_id_modes(FilterBuilder& filter) {
  for (const uint64_t bit : {S_ISUID, S_ISGID}) {
    for (const char* name : {"chmod", "fchmod", "creat", "mknod"}) {
      filter.add(SCMP_ACT_ERRNO(EPERM), name, has_bit(1, bit));
    }
    for (const char* name : {"fchmodat", "mknodat"}) {
      filter.add(SCMP_ACT_ERRNO(EPERM), name, has_bit(2, bit));
    }
    // Without O_CREAT (or O_TMPFILE) the mode is whatever lay in the register.
    constexpr uint64_t kTemporary = O_TMPFILE & ~O_DIRECTORY;
    for (const uint64_t creating : {uint64_t{O_CREAT}, kTemporary}) {
      filter.add(SCMP_ACT_ERRNO(EPERM), "open", has_bit(1, creating), has_bit(2, bit));
      filter.add(SCMP_ACT_ERRNO(EPERM), "openat", has_bit(2, creating), has_bit(3, bit));
    }
  }
}

void deny_typing(FilterBuilder& filter) {
  constexpr uint64_t kTiocLinux = 0x541c;
  for (const uint64_t request : {uint64_t{TIOCSTI}, kTiocLinux, uint64_t{TIOCSETD}}) {
    filter.add(SCMP_ACT_ERRNO(EPERM), "ioctl", equals(1, request));
  }
}

void deny_sockets(FilterBuilder& filter, Network network) {
  const uint32_t no_family = SCMP_ACT_ERRNO(EAFNOSUPPORT);
  const bool internet = network != Network::none;
  for (uint64_t family = 0; family <= AF_INET6; ++family) {
    const bool allowed = internet && (family == AF_INET || family == AF_INET6);
    if (!allowed) filter.add(no_family, "socket", equals(0, family));
  }
  filter.add(no_family, "socket", above(0, AF_INET6));
  if (internet) {
    // Streams and datagrams of TCP and UDP; no raw packets, no ICMP, no other protocol.
    for (uint64_t type = 0; type < 16; ++type) {
      if (type == SOCK_STREAM || type == SOCK_DGRAM) continue;
      filter.add(SCMP_ACT_ERRNO(EPERM), "socket", masked(1, 0xf, type));
    }
    for (uint64_t protocol = 1; protocol < IPPROTO_UDP; ++protocol) {
      if (protocol == IPPROTO_TCP) continue;
      filter.add(SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket", equals(2, protocol));
    }
    filter.add(SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket", above(2, IPPROTO_UDP));
  }
  // A pair talks to itself. A datagram one could still send to any socket file it can name.
  for (uint64_t family = 0; family <= AF_INET6; ++family) {
    if (family != AF_UNIX) filter.add(no_family, "socketpair", equals(0, family));
  }
  filter.add(no_family, "socketpair", above(0, AF_INET6));
  for (uint64_t type = 0; type < 16; ++type) {
    if (type == SOCK_STREAM || type == SOCK_SEQPACKET) continue;
    filter.add(SCMP_ACT_ERRNO(EPERM), "socketpair", masked(1, 0xf, type));
  }
}

Result<Filter> arguments_filter(Network network) {
  FilterBuilder filter(SCMP_ACT_ALLOW);
  deny_namespaces(filter);
  deny_set_id_modes(filter);
  deny_typing(filter);
  deny_sockets(filter, network);
  return filter.compile();
}

}  // namespace

Result<std::vector<Filter>> make_filters(Network network) {
  std::vector<Filter> filters(2);
  SABLE_TRY(filters[0], numbers_filter());
  SABLE_TRY(filters[1], arguments_filter(network));
  return filters;
}

}  // namespace sable::sandbox
