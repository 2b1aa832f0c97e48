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

/// Every n-th index from a first one on.
class Slice {
 public:
  /// The same ones in each run.
  static Slice fixed(size_t stride, size_t first = 0) { return Slice(stride, first); }

  /// On day k those that are k modulo n, so that n days in a row meet every index exactly once.
  static Slice of_day(size_t day, size_t n) { return Slice(n, day % n); }

  /// Today's; all of them where SABLE_TEST_ALL is set.
  static Slice of_the_day(size_t n) {
    if (all_cases()) return Slice(1, 0);
    std::cout << "indices that are " << day_of_run() % n << " modulo " << n << ", of day "
              << day_of_run() << " (SABLE_TEST_DAY repeats it, SABLE_TEST_ALL takes all of them)\n";
    return of_day(day_of_run(), n);
  }

  /// Today's n-th part, and with SABLE_TEST_ALL today's m-th, for what is beside the point of a
  /// loop.
  static Slice of_the_day(size_t n, size_t m) {
    return all_cases() ? of_day(day_of_run(), m) : of_the_day(n);
  }

  size_t stride() const { return stride_; }
  size_t first() const { return first_; }

  /// Calls `run(index)` for each index below `n_existing`; returns how many of them it covered.
  template <class Run>
  size_t for_each(size_t n_existing, Run run) const {
    size_t n_covered = 0;
    for (size_t index = first_; index < n_existing; index += stride_) n_covered += run(index);
    return n_covered;
  }

 private:
  Slice(size_t stride, size_t first) : stride_(stride), first_(first) {}
  size_t stride_, first_;
};

/// How much of what there is a test has met.
struct Coverage {
  size_t n_covered = 0, n_existing = 0;
  void operator+=(const Coverage& other) {
    n_covered += other.n_covered;
    n_existing += other.n_existing;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Coverage& coverage) {
  return out << coverage.n_covered << " indices covered of " << coverage.n_existing << " existing";
}

}  // namespace sable::test
