// Which of very many cases one run of a slow test looks at: another part of them each day.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>

namespace sable::test {

/// Days since 1970. SABLE_TEST_DAY=N in the environment repeats what was run on another day.
inline unsigned day_of_run() {
  if (const char* day = std::getenv("SABLE_TEST_DAY")) {
    return static_cast<unsigned>(std::strtoul(day, nullptr, 10));
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<unsigned>(std::chrono::duration_cast<std::chrono::hours>(now).count() / 24);
}

/// Whether SABLE_TEST_ALL is set: all cases, however long it takes.
inline bool all_cases() { return std::getenv("SABLE_TEST_ALL") != nullptr; }

/// Every `stride`-th index, from a first one that is another each day: the runs of `stride` days in
/// a row meet all of them; so do as many runs that are some days apart, since a stride is a prime.
class DailySlice {
 public:
  explicit DailySlice(size_t stride) : stride_(all_cases() ? 1 : stride), day_(day_of_run()) {
    if (stride_ == 1) return;
    std::cout << "one case of " << stride_ << ", day " << day_
              << " (SABLE_TEST_DAY repeats it, SABLE_TEST_ALL takes all of them)\n";
  }
  size_t stride() const { return stride_; }
  /// `loop` tells the loops of a test apart, so that they do not all begin at the same index.
  size_t first(size_t loop) const { return (day_ + loop) % stride_; }

 private:
  size_t stride_;
  unsigned day_;
};

}  // namespace sable::test
