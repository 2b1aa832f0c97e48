#include "runtime/loop.h"

#include <cstdio>
#include <exception>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <boost/system/system_error.hpp>

namespace sable::runtime {

namespace {

constexpr std::chrono::milliseconds kStopLimit{900};
constexpr int kSoftwareError = 70;  // sysexits.h

}  // namespace

Loop::Loop(unsigned n_workers) : workers_(n_workers), last_resort_(context_) {
  // A front end that goes away is an error of one write, not the end of the program.
  ::signal(SIGPIPE, SIG_IGN);
}

Loop::~Loop() {
  workers_.stop();
  workers_.join();
}

void Loop::stop(int signal) {
  if (stop_signal_) ::_exit(128 + signal);
  stop_signal_ = signal;
  last_resort_.expires_after(kStopLimit);
  last_resort_.async_wait([signal](const boost::system::error_code& error) {
    if (!error) ::_exit(128 + signal);
  });
  if (on_stop_) {
    on_stop_(signal);
  } else {
    cancel_main_.emit(asio::cancellation_type::terminal);
  }
}

int Loop::run(asio::awaitable<int> main) {
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
                       last_resort_.cancel();
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
