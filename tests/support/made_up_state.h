// A sequence's state as memory sees it: opaque bytes, made from the tokens so that every wrong one
// shows.
#pragma once

#include <random>
#include <vector>

#include "memory/memory.h"

namespace sable::test {

inline std::vector<std::byte> made_up_bytes(uint64_t seed, size_t n) {
  std::vector<std::byte> bytes(n);
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (size_t i = 0; i < n; ++i) {
    if (i % 8 == 0) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
    }
    bytes[i] = static_cast<std::byte>(state >> (8 * (i % 8)));
  }
  return bytes;
}

/// Tokens first, first + 1, ...: streams with the same `first` share their beginning.
inline std::vector<int32_t> made_up_tokens(size_t n, int32_t first = 0) {
  std::vector<int32_t> tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = first + static_cast<int32_t>(i);
  return tokens;
}

class MadeUpState : public memory::SnapshotSource {
 public:
  /// Blocks are nearly as long as those of a disk, so that most share one with a neighbour.
  MadeUpState(std::vector<int32_t> tokens, size_t block_bytes = 3900, size_t position_bytes = 700)
      : tokens_(std::move(tokens)), block_bytes_(block_bytes), position_bytes_(position_bytes) {}

  const std::vector<int32_t>& tokens() const { return tokens_; }
  memory::TokenStream stream(uint8_t engine = 1) const {
    memory::TokenStream stream{{}, tokens_};
    stream.fingerprint.fill(engine);
    return stream;
  }

  std::vector<std::byte> block_bytes(uint64_t index) const {
    const uint64_t end = (index + 1) * memory::kSnapshotBlockTokens;
    return made_up_bytes(hash_of(end), block_bytes_ + index % 3 * 100);
  }
  std::vector<std::byte> position_bytes(uint64_t n_tokens) const {
    return made_up_bytes(hash_of(n_tokens) + 1, position_bytes_);
  }

  Result<void> block(uint64_t index, std::vector<std::byte>& bytes) override {
    ++n_asked;
    bytes = block_bytes(index);
    return {};
  }
  Result<void> position(std::vector<std::byte>& bytes) override {
    bytes = position_bytes(tokens_.size());
    return {};
  }

  uint64_t n_asked = 0;

 private:
  uint64_t hash_of(uint64_t n_tokens) const {
    uint64_t hash = 1469598103934665603u;
    for (uint64_t i = 0; i < n_tokens; ++i) {
      hash = (hash ^ static_cast<uint64_t>(tokens_[i])) * 1099511628211u;
    }
    return hash;
  }

  std::vector<int32_t> tokens_;
  size_t block_bytes_, position_bytes_;
};

}  // namespace sable::test
