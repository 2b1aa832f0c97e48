// Joins the engine's sequences with the snapshots on disk: the one gives opaque bytes, the other
// keeps them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inference/inference.h"
#include "memory/memory.h"

namespace sable::agent {

/// Keeps what the sequence has processed. Called on the engine's thread, since it reads the
/// sequence; only blocks that are not stored yet are copied and written.
Result<memory::SaveReport> save_sequence(memory::SnapshotStore& store, const std::string& session,
                                         const inference::Engine& engine,
                                         const inference::Sequence& sequence);

/// What a sequence has processed, taken out of the engine, so that another thread can store it.
struct SequenceCopy {
  Digest fingerprint{};
  std::vector<inference::TokenId> tokens;
  uint64_t first_block = 0;  ///< those before it are stored, as far as the copier knows
  std::vector<std::vector<std::byte>> blocks;
  std::vector<std::byte> position;
};

/// On the engine's thread: costs a copy of the blocks from `first_block` on. Errors: the engine's.
Result<SequenceCopy> copy_sequence(const inference::Engine& engine,
                                   const inference::Sequence& sequence, uint64_t first_block);

/// On any thread but the loop's. not_found when a block before the copied ones is not stored after
/// all: copy more.
Result<memory::SaveReport> save_copy(memory::SnapshotStore& store, const std::string& session,
                                     const SequenceCopy& copy);

/// The stored state of the longest prefix of `tokens`; the rest is for the caller to append. Leaves
/// at least one token, so that the next step gives logits. What is found is kept for `session`
/// until that stores a state of its own. not_found when nothing fits: then a prefill does it. On
/// the engine's thread.
Result<std::unique_ptr<inference::Sequence>> restore_sequence(
    memory::SnapshotStore& store, const std::string& session, inference::Engine& engine,
    std::span<const inference::TokenId> tokens);

}  // namespace sable::agent
