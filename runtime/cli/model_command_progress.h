// A line on a terminal that says how far long work is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sable::runtime {

/// Draws "LABEL [#####     ]  50 %" on standard error, over itself, ten times a second at most;
/// where that is no terminal, nothing. Not thread-safe; the destructor clears the line.
class ProgressLine {
 public:
  explicit ProgressLine(std::string label);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(uint64_t done, uint64_t total);
  void clear();

 private:
  std::string label_;
  bool is_terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace sable::runtime
