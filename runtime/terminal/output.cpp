#include "runtime/terminal/output.h"

#include <unistd.h>
#include <utility>

#include "base/file.h"

namespace sable::runtime {

namespace {
constexpr size_t kPreviewBytesMax = size_t{4} << 20;
}

Output::Output(int fd) : fd_(fd), is_terminal_(::isatty(fd) == 1), writer_([this] { run(); }) {}

Output::~Output() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  writer_.join();
}

void Output::write(std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    queue_.append(text);
  }
  changed_.notify_one();
}

void Output::write_preview(std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() > kPreviewBytesMax) return;
    queue_.append(text);
  }
  changed_.notify_one();
}

void Output::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::string text = std::exchange(queue_, {});
    lock.unlock();
    // A reader that went away (EPIPE) loses the rest; the session goes on.
    (void)write_all(fd_, text);
    lock.lock();
  }
}

}  // namespace sable::runtime
