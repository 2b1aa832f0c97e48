// Joins the engine's sequences with the snapshots on disk: the one gives opaque bytes, the other
// keeps them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "inference/inference.h"
#include "memory/memory.h"

namespace sable::agent {

/// Keeps what the sequence has processed. Called on the engine's thread, since it reads the
/// sequence; only blocks that are not stored yet are copied and written.
Result<memory::SaveReport> save_sequence(memory::SnapshotStore& store, const std::string& session,
                                         const inference::Engine& engine,
                                         const inference::Sequence& sequence);

/// The stored state of the longest prefix of `tokens`; the rest is for the caller to append. Leaves
/// at least one token, so that the next step gives logits. not_found when nothing fits: then a
/// prefill does it. On the engine's thread.
Result<std::unique_ptr<inference::Sequence>> restore_sequence(
    memory::SnapshotStore& store, inference::Engine& engine,
    std::span<const inference::TokenId> tokens);

}  // namespace sable::agent
