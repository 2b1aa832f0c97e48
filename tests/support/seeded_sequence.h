// A long past without computing it: for tests that measure or probe what comes after it.
#pragma once

#include "inference/graph/sequence_state.h"

namespace sable::inference::test {

/// A sequence at position n_tokens whose windows, compressed entries, index keys and unfinished
/// blocks hold values drawn from `seed`, in the format of the layout: what a prefill of n_tokens
/// leaves behind, in the same pages. Errors: exhausted.
Result<SequenceState> seeded_sequence(const CacheLayout& layout, PagePool& pool, uint64_t n_tokens,
                                      uint64_t seed);

}  // namespace sable::inference::test
