// Makes a byte-level BPE tokenizer from texts, as a tokenizer.json that every loader of the format
// reads.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace sable::training {

struct TokenizerPlan {
  size_t vocab_size = 1536;
  /// Texts that always become one token where they stand between tokens of structure: fixed parts
  /// of the tool block, of tool calls and of tool results. Longer ones win.
  std::vector<std::string> phrases;
};

/// The pieces that merges stay within: phrases; words cut at case changes, "_" and digits, without
/// the blank before them; single digits; a line end with the indentation behind it; punctuation.
std::string pre_tokenizer_expression(const std::vector<std::string>& phrases);

/// Ids: begin, end and pad first, then bytes, phrases, merges, and the other tokens of
/// DeepSeek-V4's format last. Deterministic. Errors: the texts give too few merges.
Result<std::string> train_tokenizer(const std::vector<std::string>& texts,
                                    const TokenizerPlan& plan);

}  // namespace sable::training
