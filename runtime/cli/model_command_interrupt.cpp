#include "runtime/cli/model_command_interrupt.h"

#include <array>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"

namespace sable::runtime {

Interrupt::Interrupt() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  SABLE_CHECK(::pthread_sigmask(SIG_BLOCK, &set, &before_) == 0);
  signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  ended_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!signals_ || !ended_) {  // no descriptors left: signals end the process, as usual
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    return;
  }
  waiter_ = std::thread([this] { wait_for_signals(); });
}

Interrupt::~Interrupt() {
  if (!waiter_.joinable()) return;
  const uint64_t one = 1;
  SABLE_CHECK(::write(ended_.get(), &one, sizeof one) == sizeof one);
  waiter_.join();
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int Interrupt::status_or(int status) const {
  const int signal = signal_.load();
  return signal == 0 ? status : 128 + signal;
}

void Interrupt::wait_for_signals() {
  std::array<pollfd, 2> events{{{signals_.get(), POLLIN, 0}, {ended_.get(), POLLIN, 0}}};
  while (events[1].revents == 0) {
    if (::poll(events.data(), events.size(), -1) < 0) continue;
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal_.exchange(signal) != 0) ::_exit(128 + signal);
    stop_.request_stop();
  }
}

}  // namespace sable::runtime
