// Time as a parameter: wall time for people, monotonic time for deadlines; tests replace both.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace sable {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using MonotonicTime = std::chrono::steady_clock::time_point;

/// Where the program gets its time from. Information and deadlines only: order is never derived
/// from it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall_now() const = 0;
  virtual MonotonicTime monotonic_now() const = 0;
};

/// The operating system's clocks.
const Clock& system_clock();

/// RFC 3339 in UTC with milliseconds: "2026-11-22T03:23:46.017Z".
std::string to_rfc3339(WallTime time);

}  // namespace sable
