#include "memory/snapshot_key.h"

#include <algorithm>
#include <bit>

namespace sable::memory {

namespace {

static_assert(std::endian::native == std::endian::little, "keys hash tokens as they lie in memory");

std::span<const uint8_t> bytes_of(std::span<const int32_t> tokens) {
  return {reinterpret_cast<const uint8_t*>(tokens.data()), tokens.size_bytes()};
}

Digest hash_of(std::string_view kind, const Digest& before, std::span<const int32_t> tokens) {
  Sha256 hash;
  hash.update(kind);
  hash.update(std::span<const uint8_t>(before));
  hash.update(bytes_of(tokens));
  return hash.finish();
}

}  // namespace

std::vector<Digest> block_keys(const TokenStream& stream) {
  std::vector<Digest> keys;
  continue_keys(stream, SIZE_MAX, keys);
  return keys;
}

void continue_keys(const TokenStream& stream, size_t n_blocks, std::vector<Digest>& keys) {
  n_blocks = std::min<size_t>(n_blocks, stream.tokens.size() / kSnapshotBlockTokens);
  keys.reserve(n_blocks + 1);
  if (keys.empty()) keys.push_back(hash_of("engine\n", stream.fingerprint, {}));
  while (keys.size() <= n_blocks) {
    const auto block = stream.tokens.subspan((keys.size() - 1) * kSnapshotBlockTokens);
    keys.push_back(hash_of("block\n", keys.back(), block.first(kSnapshotBlockTokens)));
  }
}

Digest position_key(const Digest& last_block, std::span<const int32_t> tail) {
  return hash_of("position\n", last_block, tail);
}

}  // namespace sable::memory
