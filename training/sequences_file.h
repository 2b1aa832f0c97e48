// Encoded episodes in one safetensors file: what a run on a GPU reads.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "training/dataset.h"

namespace sable::training {

/// Writes `file` with these tensors: `tokens` i32 and `by_model` i8, all sequences one after
/// another, `begin` i64 [n + 1] where each begins, `family` i32 [n]; the same of `held_out` with
/// the prefix "held_out."; `copy.structure` i32 [6] (begin, user, assistant, end of thinking, end,
/// newline) and `copy.words`; `names.CASE.words`, `.first`, `.next` for the cases lower, capital
/// and upper. Errors: what writing files gives.
Result<void> write_sequences(const Dataset& training, const Dataset& held_out,
                             const CopyTokens& copy, const NameTokens& names,
                             const std::filesystem::path& file);

}  // namespace sable::training
