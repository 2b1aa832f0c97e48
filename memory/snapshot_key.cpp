#include "memory/snapshot_key.h"

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
  const size_t n_blocks = stream.tokens.size() / kSnapshotBlockTokens;
  std::vector<Digest> keys;
  keys.reserve(n_blocks + 1);
  keys.push_back(hash_of("engine\n", stream.fingerprint, {}));
  for (size_t i = 0; i < n_blocks; ++i) {
    keys.push_back(hash_of("block\n", keys.back(),
                           stream.tokens.subspan(i * kSnapshotBlockTokens, kSnapshotBlockTokens)));
  }
  return keys;
}

Digest position_key(const Digest& last_block, std::span<const int32_t> tail) {
  return hash_of("position\n", last_block, tail);
}

}  // namespace sable::memory
