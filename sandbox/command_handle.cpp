#include <utility>

#include "sandbox/sandbox.h"

namespace sable::sandbox {

void CommandHandle::signal(int number) {
  if (signal_) {
    signal_(number);
  } else {
    waiting_.push_back(number);
  }
}

void CommandHandle::kill() {
  if (kill_) {
    kill_();
  } else {
    kill_waiting_ = true;
  }
}

void CommandHandle::attach(std::function<void(int)> signal, std::function<void()> kill) {
  signal_ = std::move(signal);
  kill_ = std::move(kill);
  for (const int number : std::exchange(waiting_, {})) signal_(number);
  if (std::exchange(kill_waiting_, false)) kill_();
}

void CommandHandle::detach() {
  signal_ = nullptr;
  kill_ = nullptr;
}

}  // namespace sable::sandbox
