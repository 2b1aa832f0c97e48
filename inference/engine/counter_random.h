// Random numbers as a pure function of a seed and a position.
#pragma once

#include <array>
#include <cstdint>

namespace sable::inference {

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC
/// 2011): ten rounds of multiplication and exclusive or turn a counter under a key into four random
/// words. There is no state, so a sequence that is forked, rewound or restored draws what it would
/// have drawn.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Uniform in [0, 1), a multiple of 2^-53. Equal arguments give equal numbers, different ones
/// independent ones.
double uniform_at(uint64_t seed, uint64_t position);

}  // namespace sable::inference
