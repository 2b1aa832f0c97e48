#include "base/checksum.h"

#if __has_include(<xxh_x86dispatch.h>) && defined(__x86_64__)
#include <xxh_x86dispatch.h>  // the widest instructions of the machine; the same values
#else
#include <xxhash.h>
#endif

namespace sable {

Checksum checksum_of(std::span<const std::byte> bytes, uint64_t seed) {
  const auto value = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {value.low64, value.high64};
}

uint64_t short_checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace sable
