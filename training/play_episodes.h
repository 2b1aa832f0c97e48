// The teacher at work: tasks are drawn, played with the real tools, and written as episodes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "evaluation/evaluation.h"
#include "training/episode.h"

namespace sable::training {

/// How much of what is played belongs to a family. The families that are not named share what is
/// left as their kinds' own shares say; where nothing is left they are not played.
using FamilyShares = std::map<std::string, double>;

/// "rename=0.3,report=0.2". Errors: invalid_input for an unknown family, for what is no number
/// above 0, and for a sum above 1.
Result<FamilyShares> parse_family_shares(std::string_view text);

struct EpisodePlan {
  uint64_t seed = 1;
  evaluation::Split split = evaluation::Split::training;
  size_t n_made_up = 0;  ///< episodes on made-up code
  size_t n_real = 0;     ///< then episodes on the files in `code`, of the families that take it
  FamilyShares shares;
  std::filesystem::path code;      ///< a Debian source package in each folder; see docs/training.md
  std::filesystem::path launcher;  ///< sable-launcher, for the sandbox of the tools
  std::filesystem::path work;      ///< a folder for the repositories in question
};

/// Writes the episodes to `file`, one JSON object a line: a function of the plan but for its
/// folders. Which files of real code were read, under which licence, stands in
/// FILE.licences.tsv. Errors: invalid_input for a `file` that is no plain one or shares that leave
/// nothing to play on real code; io; those of the sandbox and the agent's files.
Result<void> play_episodes(const EpisodePlan& plan, const AgentPack& pack,
                           const std::filesystem::path& file);

}  // namespace sable::training
