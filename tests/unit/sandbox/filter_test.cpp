// The seccomp programs, run by a small interpreter of classic BPF: every system call number, no
// kernel.
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <catch2/catch.hpp>

#include "sandbox/seccomp_filter.h"

using namespace sable;
using namespace sable::sandbox;

namespace {

uint32_t run_program(const Filter& filter, const seccomp_data& data) {
  uint32_t a = 0, x = 0;
  std::array<uint32_t, BPF_MEMWORDS> memory{};
  for (size_t at = 0;; ++at) {
    REQUIRE(at < filter.size());
    const auto& instruction = filter[at];
    const uint32_t k = instruction.operand;
    switch (instruction.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        REQUIRE(k + 4 <= sizeof data);
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= k;
        break;
      case BPF_LD | BPF_IMM:
        a = k;
        break;
      case BPF_ST:
        memory.at(k) = a;
        break;
      case BPF_LD | BPF_MEM:
        a = memory.at(k);
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_MISC | BPF_TXA:
        a = x;
        break;
      case BPF_JMP | BPF_JA:
        at += k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == k ? instruction.jump_true : instruction.jump_false;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        at += a > k ? instruction.jump_true : instruction.jump_false;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += a >= k ? instruction.jump_true : instruction.jump_false;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        at += (a & k) != 0 ? instruction.jump_true : instruction.jump_false;
        break;
      case BPF_RET | BPF_K:
        return k;
      default:
        FAIL("unknown instruction " << instruction.code);
    }
  }
}

// The kernel's order of severity for the actions that we use.
int severity(uint32_t action) {
  switch (action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return 0;
    case SECCOMP_RET_ERRNO:
      return 1;
    default:
      return 2;
  }
}

constexpr uint32_t kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t error(int number) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number); }

class Filters {
 public:
  explicit Filters(Network network) {
    auto made = make_filters(network);
    REQUIRE(made);
    filters_ = std::move(*made);
  }

  uint32_t answer(long number, std::array<uint64_t, 6> arguments = {},
                  uint32_t architecture = AUDIT_ARCH_X86_64) const {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.arch = architecture;
    std::copy(arguments.begin(), arguments.end(), data.args);
    uint32_t worst = kAllow;
    for (auto it = filters_.rbegin(); it != filters_.rend(); ++it) {
      const uint32_t action = run_program(*it, data);
      if (severity(action) > severity(worst)) worst = action;
    }
    return worst;
  }

 private:
  std::vector<Filter> filters_;
};

}  // namespace

TEST_CASE("a call through another architecture or numbering kills the process") {
  const Filters none(Network::none);
  CHECK(none.answer(SYS_read, {}, AUDIT_ARCH_I386) == kKill);
  CHECK(none.answer(SYS_read, {}, AUDIT_ARCH_AARCH64) == kKill);
  CHECK(none.answer(0x40000000 | SYS_read) == kKill);
}

TEST_CASE("numbers that the filter does not know get ENOSYS, up to far beyond today's kernels") {
  const Filters none(Network::none);
  for (long number = 463; number < 1200; ++number) CHECK(none.answer(number) == error(ENOSYS));
  CHECK(none.answer(SYS_clone3) == error(ENOSYS));
  CHECK(none.answer(SYS_openat2) == error(ENOSYS));
  CHECK(none.answer(452 /* fchmodat2 */) == error(ENOSYS));
}

TEST_CASE("what could change the machine or look into other processes is refused in every mode") {
  for (const auto network : {Network::none, Network::loopback, Network::open}) {
    const Filters filters(network);
    for (const long number : {SYS_mount,
                              SYS_umount2,
                              SYS_pivot_root,
                              SYS_chroot,
                              SYS_unshare,
                              SYS_setns,
                              SYS_ptrace,
                              SYS_process_vm_readv,
                              SYS_process_vm_writev,
                              SYS_pidfd_getfd,
                              SYS_bpf,
                              SYS_perf_event_open,
                              SYS_userfaultfd,
                              SYS_add_key,
                              SYS_keyctl,
                              SYS_request_key,
                              SYS_open_by_handle_at,
                              SYS_name_to_handle_at,
                              SYS_kexec_load,
                              SYS_init_module,
                              SYS_finit_module,
                              SYS_delete_module,
                              SYS_reboot,
                              SYS_swapon,
                              SYS_acct,
                              SYS_settimeofday,
                              SYS_clock_settime,
                              SYS_adjtimex,
                              SYS_sethostname,
                              SYS_syslog,
                              SYS_iopl,
                              SYS_ioperm,
                              SYS_io_uring_setup,
                              SYS_io_uring_enter,
                              SYS_io_uring_register,
                              SYS_fsopen,
                              SYS_fsmount,
                              SYS_move_mount,
                              SYS_open_tree,
                              SYS_mount_setattr,
                              SYS_modify_ldt}) {
      INFO(number);
      CHECK(filters.answer(number) == error(EPERM));
    }
  }
}

TEST_CASE("clone makes processes and threads but no namespaces") {
  const Filters none(Network::none);
  CHECK(none.answer(SYS_clone, {SIGCHLD}) == kAllow);
  CHECK(none.answer(SYS_clone,
                    {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}) == kAllow);
  for (const uint64_t flag : {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                              CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    CHECK(none.answer(SYS_clone, {flag | SIGCHLD}) == error(EPERM));
    CHECK(none.answer(SYS_clone, {flag | SIGCHLD | 0xdead00000000}) == error(EPERM));
  }
}

TEST_CASE("sockets follow the network mode, also with garbage in the upper half of the register") {
  const Filters none(Network::none), loopback(Network::loopback), open(Network::open);
  for (uint64_t family = 0; family < 64; ++family) {
    const bool internet = family == AF_INET || family == AF_INET6;
    INFO(family);
    CHECK(none.answer(SYS_socket, {family, SOCK_STREAM}) == error(EAFNOSUPPORT));
    CHECK(loopback.answer(SYS_socket, {family, SOCK_STREAM}) ==
          (internet ? kAllow : error(EAFNOSUPPORT)));
    CHECK(open.answer(SYS_socket, {family, SOCK_STREAM}) ==
          (internet ? kAllow : error(EAFNOSUPPORT)));
    const uint64_t garbage = family | 0x100000000;
    CHECK(severity(none.answer(SYS_socket, {garbage, SOCK_STREAM})) > 0);
    if (!internet) CHECK(severity(open.answer(SYS_socket, {garbage, SOCK_STREAM})) > 0);
  }
  CHECK(loopback.answer(SYS_socket, {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK}) ==
        kAllow);
  CHECK(loopback.answer(SYS_socket, {AF_INET, SOCK_RAW}) == error(EPERM));
  CHECK(loopback.answer(SYS_socket, {AF_INET, SOCK_RAW | SOCK_CLOEXEC | 0xf00000000}) ==
        error(EPERM));
  CHECK(loopback.answer(SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}) == error(EPROTONOSUPPORT));
  CHECK(loopback.answer(SYS_socket, {AF_INET, SOCK_STREAM, 262 /* MPTCP */}) ==
        error(EPROTONOSUPPORT));
  CHECK(loopback.answer(SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_TCP}) == kAllow);
  CHECK(none.answer(SYS_socketpair, {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}) == kAllow);
  // A datagram pair could be used to write to a socket file of the host.
  CHECK(none.answer(SYS_socketpair, {AF_UNIX, SOCK_DGRAM}) == error(EPERM));
  CHECK(none.answer(SYS_socketpair, {AF_UNIX, SOCK_RAW}) == error(EPERM));
  CHECK(none.answer(SYS_socketpair, {AF_INET, SOCK_STREAM}) == error(EAFNOSUPPORT));
}

TEST_CASE("typing into a terminal is refused by the low 32 bits of the request") {
  const Filters none(Network::none);
  for (const uint64_t request : {uint64_t{TIOCSTI}, uint64_t{0x541c}, uint64_t{TIOCSETD}}) {
    CHECK(none.answer(SYS_ioctl, {0, request}) == error(EPERM));
    CHECK(none.answer(SYS_ioctl, {0, request | 0xabcd00000000}) == error(EPERM));
  }
  CHECK(none.answer(SYS_ioctl, {0, TCGETS}) == kAllow);
}

TEST_CASE("no file gets a set-id bit, whichever call makes or changes it") {
  const Filters none(Network::none);
  for (const uint64_t mode : {04755, 02755, 06755}) {
    CHECK(none.answer(SYS_chmod, {0, mode}) == error(EPERM));
    CHECK(none.answer(SYS_fchmod, {0, mode}) == error(EPERM));
    CHECK(none.answer(SYS_fchmodat, {0, 0, mode}) == error(EPERM));
    CHECK(none.answer(SYS_creat, {0, mode}) == error(EPERM));
    CHECK(none.answer(SYS_mknod, {0, mode}) == error(EPERM));
    CHECK(none.answer(SYS_mknodat, {0, 0, mode}) == error(EPERM));
    CHECK(none.answer(SYS_open, {0, O_CREAT, mode}) == error(EPERM));
    CHECK(none.answer(SYS_openat, {0, 0, O_CREAT | O_WRONLY, mode}) == error(EPERM));
    CHECK(none.answer(SYS_openat, {0, 0, O_TMPFILE | O_RDWR, mode}) == error(EPERM));
    CHECK(none.answer(SYS_openat, {0, 0, O_RDONLY, mode}) ==
          kAllow);  // what lies there means nothing
    CHECK(none.answer(SYS_openat, {0, 0, O_DIRECTORY, mode}) == kAllow);
  }
  CHECK(none.answer(SYS_chmod, {0, 01777}) == kAllow);
}

TEST_CASE("the personality may be asked for but not changed") {
  const Filters none(Network::none);
  CHECK(none.answer(SYS_personality, {0xffffffff}) == kAllow);
  CHECK(none.answer(SYS_personality, {0x0040000}) != kAllow);
}
