#include "runtime/engine/models.h"

#include <system_error>

namespace sable::runtime {

Result<std::shared_ptr<const agent::EngineModel>> Models::open(const std::filesystem::path& weights,
                                                               agent::EngineModelOptions options) {
  std::error_code error;
  const auto real = std::filesystem::canonical(weights, error);
  if (error) {
    return fail(ErrorCode::not_found, "model " + weights.string() + ": " + error.message());
  }
  const std::lock_guard lock(mutex_);
  if (const auto it = opened_.find(real); it != opened_.end()) return it->second.model;
  SABLE_TRY(options.texts, agent::load_prompt_texts(real, std::move(options.texts)));
  Opened opened;
  SABLE_TRY(opened.scheduler, Scheduler::open(real));
  auto model = agent::EngineModel::create(*opened.scheduler, std::move(options));
  if (!model) return fail_in("model " + weights.string(), std::move(model.error()));
  opened.model = *model;
  opened_.emplace(real, std::move(opened));
  return *model;
}

}  // namespace sable::runtime
