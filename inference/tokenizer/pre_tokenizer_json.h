// Reads the pre_tokenizer of a tokenizer.json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "inference/tokenizer/tokenizer_definition.h"

namespace sable::inference {

/// The steps that a pre_tokenizer object describes, in order. Known kinds: Sequence, Split, Digits,
/// ByteLevel, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit. There must be a
/// ByteLevel. `path` starts the messages of errors; other kinds are refused by name.
Result<std::vector<PreTokenizerStep>> steps_from_json(const Json& pre_tokenizer,
                                                      std::string_view path);

/// The steps of a plain list of expressions (Oniguruma's dialect), each isolating its matches, with
/// bytes at the end: the form of most tokenizers that GGUF names.
Result<std::vector<PreTokenizerStep>> steps_from_expressions(
    const std::vector<std::string>& expressions, std::string_view origin);

}  // namespace sable::inference
