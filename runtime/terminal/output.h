// Text on its way to a descriptor that may be slow: the loop's thread never waits for it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"

namespace sable::runtime {

/// Writes in order on a thread of its own; the destructor writes what is left. After a write that
/// failed nothing more is written. Thread-safe.
class Output {
 public:
  /// `fd` is borrowed.
  explicit Output(int fd);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view text);
  /// The same, dropped when a reader is so slow that megabytes already wait.
  void write_preview(std::string_view text);

  /// Waits until all of it is written. The first write that failed, for good: exhausted or io, as
  /// "standard output: No space left on device". A reader that went away is not a failure.
  Result<void> drain();

  bool is_terminal() const { return is_terminal_; }

 private:
  void run();

  const int fd_;
  const bool is_terminal_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string queue_;
  bool writing_ = false;
  bool closing_ = false;
  bool reader_gone_ = false;
  int first_error_ = 0;  ///< errno, or 0
  std::thread writer_;
};

}  // namespace sable::runtime
