// XXH3 (xxhash.com): finds torn writes and flipped bits at the speed of memory. Not against
// forgers; that is what digest.h is for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sable {

struct Checksum {
  uint64_t low = 0, high = 0;
  friend bool operator==(const Checksum&, const Checksum&) = default;
};

/// XXH3, 128 bits.
Checksum checksum_of(std::span<const std::byte> bytes, uint64_t seed = 0);
/// XXH3, 64 bits.
uint64_t short_checksum_of(std::span<const std::byte> bytes);

}  // namespace sable
