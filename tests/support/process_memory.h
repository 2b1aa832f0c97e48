// How much memory this process has.
#pragma once

#include <cstddef>
#include <fstream>
#include <malloc.h>
#include <unistd.h>

namespace sable::test {

/// Of the machine's (proc(5), statm).
inline size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

/// What the program has asked for and not given back, on all threads (mallinfo(3)).
inline size_t allocated_bytes() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace sable::test
