#include "runtime/loop.h"

#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <boost/system/system_error.hpp>

#include "base/last_words.h"

namespace sable::runtime {

namespace {

constexpr std::chrono::milliseconds kStopLimit{900};
constexpr int kSoftwareError = 70;  // sysexits.h

/// Ends the process unless somebody asks to stop waiting before the time is over.
void exit_later(const std::stop_token& wanted, int status) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, wanted, kStopLimit, [] { return false; });
  if (!wanted.stop_requested()) ::_exit(status);
}

}  // namespace

Loop::Loop(unsigned n_workers) : workers_(n_workers) {
  // A front end that goes away is an error of one write, not the end of the program.
  ::signal(SIGPIPE, SIG_IGN);
}

Loop::~Loop() {
  workers_.stop();
  workers_.join();
}

void Loop::stop(int signal) {
  if (take_signals_) return take_signals_(signal);
  if (stop_signal_) ::_exit(128 + signal);
  stop_signal_ = signal;
  last_resort_ = std::jthread(exit_later, 128 + signal);
  if (on_stop_) {
    on_stop_(signal);
  } else {
    cancel_main_.emit(asio::cancellation_type::terminal);
  }
}

int Loop::run(asio::awaitable<int> main) {
  need_memory_on_this_thread();
  asio::signal_set signals(context_, SIGINT, SIGTERM);
  const std::function<void(const boost::system::error_code&, int)> on_signal =
      [&](const boost::system::error_code& error, int signal) {
        if (error) return;
        signals.async_wait(on_signal);
        stop(signal);
      };
  signals.async_wait(on_signal);

  int status = kSoftwareError;
  asio::co_spawn(context_, std::move(main),
                 asio::bind_cancellation_slot(
                     cancel_main_.slot(), [&](const std::exception_ptr& failure, int value) {
                       signals.cancel();
                       status = value;
                       if (!failure) return;
                       if (stop_signal_) {
                         status = 128 + *stop_signal_;
                         return;
                       }
                       status = kSoftwareError;
                       try {
                         std::rethrow_exception(failure);
                       } catch (const std::exception& error) {
                         std::fprintf(stderr, "sable: internal error: %s\n", error.what());
                       }
                     }));
  context_.run();
  return status;
}

}  // namespace sable::runtime
