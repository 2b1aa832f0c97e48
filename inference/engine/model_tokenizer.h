// The tokenizer that came with a checkpoint.
#pragma once

#include "base/result.h"
#include "inference/files/checkpoint.h"
#include "inference/tokenizer/tokenizer.h"

namespace sable::inference {

/// Reads tokenizer.json's text, or a GGUF's arrays where there is no such text. not_found when the
/// checkpoint has neither; invalid_input for a tokenizer with ids outside the model's vocabulary.
Result<Tokenizer> tokenizer_of(const Checkpoint& checkpoint);

}  // namespace sable::inference
