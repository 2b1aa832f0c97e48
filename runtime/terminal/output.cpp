#include "runtime/terminal/output.h"

#include <cerrno>
#include <unistd.h>
#include <utility>

#include "base/write.h"

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
  changed_.notify_all();
  writer_.join();
}

void Output::write(std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    queue_.append(text);
  }
  changed_.notify_all();
}

void Output::write_preview(std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() > kPreviewBytesMax) return;
    queue_.append(text);
  }
  changed_.notify_all();
}

Result<void> Output::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !writing_; });
  if (first_error_ == 0) return {};
  return fail_errno(fd_ == STDERR_FILENO ? "standard error" : "standard output", first_error_);
}

void Output::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::string text = std::exchange(queue_, {});
    if (!reader_gone_ && first_error_ == 0) {
      writing_ = true;
      lock.unlock();
      const int error = write_all_or_errno(fd_, text);
      lock.lock();
      writing_ = false;
      // A reader that went away loses the rest; the session goes on.
      if (error == EPIPE) {
        reader_gone_ = true;
      } else {
        first_error_ = error;
      }
    }
    changed_.notify_all();
  }
}

}  // namespace sable::runtime
