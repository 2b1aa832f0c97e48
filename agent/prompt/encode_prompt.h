// The pieces of a prompt as token ids.
#pragma once

#include <vector>

#include "agent/prompt/render_prompt.h"
#include "base/result.h"
#include "inference/inference.h"

namespace sable::agent {

/// Ids of the markers that every V4 prompt needs.
struct PromptTokens {
  inference::TokenId begin, end, user, assistant, think_begin, think_end, dsml;
};

/// unsupported when the tokenizer has not got them all: then it is no chat model of this format.
Result<PromptTokens> prompt_tokens(const inference::Tokenizer& tokenizer);

struct EncodedPrompt {
  std::vector<inference::TokenId> ids;
  std::vector<bool> by_model;  ///< for each id: whether a model wrote it, or would have
};

/// What lies between two tokens of structure is encoded as one text, whoever wrote its parts, so
/// that ids are those of the official encoder where it would see the same tokens. Encoding takes
/// milliseconds for long prompts: call it on a worker.
///
/// Append-only: when messages are added to a conversation that ended ready for the model to go on,
/// the first of them the model's reply with its `sampled` tokens, the longer prompt begins with the
/// shorter one and those tokens. Not so where thoughts of former turns are dropped (thinking
/// without tools): from there on it differs.
Result<EncodedPrompt> encode_prompt(const Prompt& prompt, const inference::Tokenizer& tokenizer);

}  // namespace sable::agent
