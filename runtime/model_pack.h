// What a model was trained with, pinned: the prompt that its agent begins with and what the tools
// answer. A change of either needs a new model.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "base/result.h"
#include "sandbox/sandbox.h"

namespace sable::runtime {

/// A short session of this agent in a repository at /repository, as its model reads it: what every
/// session begins with, a request, a call, its result and an answer. Errors: the agent's tools do
/// not fit the built-in ones.
Result<std::string> pinned_prompt(const agent::AgentConfig& agent, const agent::PromptTexts& texts);

/// Its SHA-256, in hexadecimal.
Result<std::string> prompt_digest(const agent::AgentConfig& agent, const agent::PromptTexts& texts);

/// The SHA-256 of what the built-in tools answer to a fixed row of calls in `folder`, which is
/// emptied. Blocks.
Result<std::string> tool_results_digest(const std::filesystem::path& folder,
                                        std::unique_ptr<sandbox::Sandbox> sandbox);

}  // namespace sable::runtime
