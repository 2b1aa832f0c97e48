// A session's messages as the messages of a V4 prompt.
#pragma once

#include <string>
#include <vector>

#include "agent/prompt/render_prompt.h"
#include "agent/provider.h"

namespace sable::agent {

/// The tools stand in the first system message, or in one of their own in front. `model` is the
/// fingerprint of the model that will read the prompt: replies that it sampled itself keep their
/// very tokens (ReplayRecord).
std::vector<PromptMessage> prompt_messages(const Transcript& messages,
                                           const std::vector<OfferedTool>& tools,
                                           const std::string& model);

/// What a reply's `replay` holds when the built-in engine made it.
struct ReplayRecord {
  std::string model;  ///< fingerprint of weights, tokenizer and arithmetic; and the mode
  std::vector<inference::TokenId> tokens;  ///< sampled behind the opening, without the end token
  bool complete = false;                   ///< the model itself ended the reply
  inference::SamplingParameters sampling;
};

Json to_json(const ReplayRecord& record);

/// nullopt for another provider's record, and for one that is damaged.
std::optional<ReplayRecord> replay_record(const Json& json);

}  // namespace sable::agent
