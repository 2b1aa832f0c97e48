// What a look at everything under a home finds, in the words for people and as repair needs it.
#pragma once

#include <map>
#include <set>

#include "memory/checkpoint_folder.h"
#include "memory/checkpoint_heads.h"
#include "memory/home.h"
#include "memory/memory.h"

namespace sable::memory {

/// Says that content which these events name is lost, so that it is known and no new damage:
/// {"digests": [HEX]}.
inline constexpr const char* kBlobsLost = "blobs.lost";

struct Health {
  HealthReport report;    ///< all of it
  bool log_sound = true;  ///< nothing is wrong with the database itself
  /// Blobs that are damaged or missing and not known to be lost, with the sessions that name them.
  std::map<std::string, std::set<std::string>> lost_blobs;
  CheckpointsInLog told_checkpoints;
  std::vector<WrongHead> wrong_heads;
  std::vector<CheckpointDamage> checkpoints;
};

/// Reads everything, beside other processes. Errors: io, unsupported.
Result<Health> look_at_home(const std::filesystem::path& path);

/// The same of a home that this process already holds.
Result<Health> look_at(const Home& home);

}  // namespace sable::memory
