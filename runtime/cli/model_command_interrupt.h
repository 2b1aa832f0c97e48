// SIGINT and SIGTERM while a model computes: a stop token instead of a sudden end.
#pragma once

#include <atomic>
#include <signal.h>
#include <stop_token>
#include <thread>

#include "base/unique_fd.h"

namespace sable::runtime {

/// While it lives, the first SIGINT or SIGTERM asks to stop and the second ends the process. Made
/// before any thread of the work, so that none of them takes the signal. One at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  bool requested() const { return stop_.stop_requested(); }

  /// 128 + the signal that came, or `status` when none did.
  int status_or(int status) const;

 private:
  void wait_for_signals();

  std::stop_source stop_;
  std::atomic<int> signal_{0};
  sigset_t before_;
  UniqueFd signals_, ended_;
  std::thread waiter_;
};

}  // namespace sable::runtime
