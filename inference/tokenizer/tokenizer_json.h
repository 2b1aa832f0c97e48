// Reads a tokenizer.json.
#pragma once

#include <string_view>

#include "base/result.h"
#include "inference/tokenizer/tokenizer_definition.h"

namespace sable::inference {

/// The file format of huggingface/tokenizers, version 1.0, as far as byte-level BPE uses it. Every
/// error starts with the JSON path. `truncation`, `padding` and `post_processor` shape batches and
/// prompts, not the ids of a text, and are not read.
Result<TokenizerDefinition> definition_from_tokenizer_json(std::string_view text);

}  // namespace sable::inference
