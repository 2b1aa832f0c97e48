// A small tokenizer with every token that a V4 prompt needs.
#pragma once

#include <string>
#include <vector>

#include "inference/inference.h"

namespace sable::test {

/// Ids 0..2 begin, end and pad; 3..258 the bytes; then some merges ("\n\n", ".\n\n", " t", "he",
/// ...); then the markers of the prompt format and `further` as added tokens; then `pieces`, which
/// only a model writes, never the encoder.
inference::Tokenizer chat_tokenizer(const std::vector<std::string>& further = {},
                                    const std::vector<std::string>& pieces = {});

}  // namespace sable::test
