// A clock that stands still until a test moves it.
#pragma once

#include "base/clock.h"

namespace sable::test {

class FakeClock : public Clock {
 public:
  WallTime wall_now() const override { return now; }
  MonotonicTime monotonic_now() const override { return {}; }
  WallTime now{std::chrono::milliseconds(1'760'000'000'000)};
};

}  // namespace sable::test
