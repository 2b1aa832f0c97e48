// The models that this process has opened, each once.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/agent.h"
#include "runtime/engine/scheduler.h"

namespace sable::runtime {

/// Any thread may call it. Outlives the providers on its models.
class Models {
 public:
  /// Snapshots of sessions lie below `home`, which exists when the first model is opened; without
  /// one none are kept.
  /// They may take `snapshot_bytes_max` (0: none are kept; nullopt: as the disk allows).
  explicit Models(std::filesystem::path home = {}, Log log = Log::none(),
                  std::optional<uint64_t> snapshot_bytes_max = std::nullopt)
      : home_(std::move(home)), log_(std::move(log)), snapshot_bytes_max_(snapshot_bytes_max) {}

  /// `options.texts` are used where the model brings none of its own. Opening takes as long as
  /// mapping the weights does: call it on a worker, or before the loop runs.
  Result<std::shared_ptr<const agent::EngineModel>> open(const std::filesystem::path& weights,
                                                         agent::EngineModelOptions options);

 private:
  struct Opened {
    std::unique_ptr<Scheduler> scheduler;
    /// By what they are called and how they are used: several names may share weights.
    std::map<std::string, std::shared_ptr<const agent::EngineModel>> models;
  };
  memory::SnapshotStore* snapshots();

  const std::filesystem::path home_;
  const Log log_;
  const std::optional<uint64_t> snapshot_bytes_max_;
  std::mutex mutex_;
  std::unique_ptr<memory::SnapshotStore> snapshots_;  // outlives the schedulers
  std::map<std::filesystem::path, Opened> opened_;
};

}  // namespace sable::runtime
