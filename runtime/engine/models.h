// The models that this process has opened, each once.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "agent/agent.h"
#include "runtime/engine/scheduler.h"

namespace sable::runtime {

/// Any thread may call it. Outlives the providers on its models.
class Models {
 public:
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
  std::mutex mutex_;
  std::map<std::filesystem::path, Opened> opened_;
};

}  // namespace sable::runtime
