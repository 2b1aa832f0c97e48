// How long work over a checkpoint says how far it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace sable::inference {

struct Progress {
  uint64_t done_bytes = 0, total_bytes = 0;
  std::string_view tensor;  ///< the one at work
};

/// Called on the working thread, at least once a tensor; must be quick. May be empty.
using ProgressCallback = std::function<void(const Progress&)>;

}  // namespace sable::inference
