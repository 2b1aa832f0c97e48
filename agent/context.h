// What the model is told before the first prompt: the agent's system prompt, where it works, and
// the repository's instructions, marked as what they are: text from the repository.
#pragma once

#include <filesystem>
#include <string>

#include "agent/agent.h"

namespace sable::agent {

struct BuiltContext {
  std::string system;
  Json instructions = Json::array();  ///< [{path, bytes, bytes_used}], for the log
};

/// Reads AGENTS.md (or CLAUDE.md) at the repository's root, at most 32 KiB of it, through the
/// workspace's own rules: a regular file, no symbolic link. Blocking: call it on a worker.
BuiltContext build_context(const AgentConfig& agent, const std::filesystem::path& repository);

}  // namespace sable::agent
