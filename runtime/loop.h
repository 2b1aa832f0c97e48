// The program's one event loop, its worker pool, and what signals do.
#pragma once

#include <functional>
#include <optional>
#include <thread>

#include "base/asio.h"

namespace sable::runtime {

/// One io_context on the calling thread and a small pool for blocking file and git work.
class Loop {
 public:
  explicit Loop(unsigned n_workers = 2);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  asio::any_io_executor executor() { return context_.get_executor(); }
  asio::thread_pool& workers() { return workers_; }

  /// Called once, for the first SIGINT or SIGTERM, instead of cancelling the main coroutine.
  void on_stop(std::function<void(int signal)> handler) { on_stop_ = std::move(handler); }

  /// Called for every SIGINT and SIGTERM instead of all that run() says of them: it sees to it that
  /// the main coroutine ends.
  void take_signals(std::function<void(int signal)> handler) { take_signals_ = std::move(handler); }

  /// Runs `main` to its end and returns its exit status. The first SIGINT or SIGTERM asks it to
  /// stop (on_stop, or cancellation); what has not ended within a second of that, or by a second
  /// SIGINT, is ended with the process, even if it is this object's destructor that waits for it.
  /// Returns 128 + signal when a signal cancelled it. An
  /// exception that leaves `main` is printed as our own bug; status 70.
  int run(asio::awaitable<int> main);

  /// The signal that asked to stop, if one did.
  std::optional<int> stop_signal() const { return stop_signal_; }

 private:
  void stop(int signal);

  std::jthread last_resort_;  // the last to go
  asio::io_context context_{1};
  asio::thread_pool workers_;
  asio::cancellation_signal cancel_main_;
  std::function<void(int)> on_stop_, take_signals_;
  std::optional<int> stop_signal_;
};

}  // namespace sable::runtime
