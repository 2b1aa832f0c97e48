// One conversation to learn from, as text: what the teacher said and called, and what the tools
// answered.
#pragma once

#include <string>
#include <vector>

#include "agent/agent.h"
#include "evaluation/evaluation.h"

namespace sable::training {

struct Episode {
  std::string family;
  bool thinking = true;  ///< whether the prompt opens a thought (which stays empty) for each reply
  std::vector<agent::PromptMessage> messages;  ///< the first is the system's, with the tools
  /// Replies (counted from 0) that show a mistake, to be seen and recovered from but not learned.
  std::vector<size_t> mistakes;
};

/// One line of JSON, and back. Errors (corrupt) name the field.
Json to_json(const Episode& episode);
Result<Episode> episode_from_json(const Json& json);

/// How the embedded agent puts itself to its model; read from configs/.
struct AgentPack {
  agent::AgentConfig config;
  std::vector<agent::OfferedTool> tools;
  agent::PromptTexts texts;

  /// From the folder configs/. Errors: what the files lack.
  static Result<AgentPack> read(const std::filesystem::path& configs);
};

/// What was played, put to the model as a session of the agent would put it: with the pack's tools
/// in the pack's order, mostly; else shuffled, some of the unneeded left out, strangers added.
Episode episode_of(evaluation::Play play, std::string family, const AgentPack& pack,
                   evaluation::Split split, Random& random);

}  // namespace sable::training
