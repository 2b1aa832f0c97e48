// How fast this machine reads memory: the limit of decoding.
#pragma once

#include <cstddef>

namespace sable::bench {

/// Bytes a second that `n_threads` read together from a buffer far larger than any cache; the best
/// of several passes.
double read_bandwidth(size_t n_threads);

}  // namespace sable::bench
