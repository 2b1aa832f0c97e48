#include "runtime/engine/models.h"

#include <system_error>

#include <fmt/format.h>

namespace sable::runtime {

Result<std::shared_ptr<const agent::EngineModel>> Models::open(const std::filesystem::path& weights,
                                                               agent::EngineModelOptions options) {
  std::error_code error;
  const auto real = std::filesystem::canonical(weights, error);
  if (error) {
    return fail(ErrorCode::not_found, "model " + weights.string() + ": " + error.message());
  }
  const std::string key =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", options.name, options.thinking,
                  static_cast<int>(options.effort), options.sampling.temperature,
                  options.sampling.top_p, options.sampling.min_p, options.reply_tokens_max);
  const std::lock_guard lock(mutex_);
  if (const auto it = opened_.find(real); it != opened_.end()) {
    if (const auto known = it->second.models.find(key); known != it->second.models.end()) {
      return known->second;
    }
  }
  SABLE_TRY(options.texts, agent::load_prompt_texts(real, std::move(options.texts)));
  auto opened = opened_.find(real);
  if (opened == opened_.end()) {
    SABLE_TRY(auto scheduler, Scheduler::open(real, {}, snapshots(), log_));
    opened = opened_.emplace(real, Opened{.scheduler = std::move(scheduler)}).first;
  }
  auto model = agent::EngineModel::create(*opened->second.scheduler, std::move(options));
  if (!model) return fail_in("model " + weights.string(), std::move(model.error()));
  opened->second.models.emplace(key, *model);
  return *model;
}

/// Null where there can be none: then resuming computes again.
memory::SnapshotStore* Models::snapshots() {
  if (snapshots_ || home_.empty() || snapshot_bytes_max_ == 0) return snapshots_.get();
  auto opened = memory::SnapshotStore::open(home_, {.bytes_max = snapshot_bytes_max_, .log = log_});
  if (opened) {
    snapshots_ = std::move(*opened);
  } else {
    log_.warning("no snapshots of sessions can be kept", {{"error", opened.error().message}});
  }
  return snapshots_.get();
}

}  // namespace sable::runtime
