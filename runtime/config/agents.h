// Agents by name: built-in, the user's, and those of a repository that the user trusted.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/agent.h"
#include "base/result.h"
#include "runtime/config/config.h"
#include "runtime/config/trust.h"

namespace sable::runtime::config {

struct AgentDefinition {
  agent::AgentConfig config;
  std::string description;  ///< one line for people
  int steps_max = 0;        ///< of a turn, where the user says nothing; 0: as the settings say
  int version = 0;          ///< of prompt and tools, where a model was made for them; 0: none
  Origin origin;            ///< its file
};

/// Reads one agent's YAML (docs/configuration.md). What it leaves open of `sampling` comes from
/// `defaults`. Its name must be `expected_name`, the file's own. Errors begin with
/// FILE:LINE:COLUMN.
Result<AgentDefinition> parse_agent(std::string_view text, const Origin& file,
                                    std::string_view expected_name, const Config& defaults);

/// All agents there are, by name. A user's file replaces the built-in agent of its name; a
/// repository's may replace none. `trusted` may be null.
Result<std::vector<AgentDefinition>> load_agents(const LoadedConfig& loaded,
                                                 const TrustedContent* trusted);

/// not_found names the nearest agent.
Result<AgentDefinition> find_agent(const std::vector<AgentDefinition>& agents,
                                   const Value<std::string>& name);

}  // namespace sable::runtime::config
