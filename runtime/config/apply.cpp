// What the settings become: values of the doors of agent, sandbox and tools.
#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "runtime/config/assign.h"
#include "runtime/config/config.h"
#include "runtime/config/model_cards.h"
#include "runtime/config/one_line.h"

namespace sable::runtime::config {

std::filesystem::path expand_home(std::string_view path, const Environment& environment) {
  if (environment.home.empty() || (path != "~" && path.substr(0, 2) != "~/")) return path;
  return std::filesystem::path(environment.home) / path.substr(std::min<size_t>(2, path.size()));
}

Result<ModelChoice> choose_model(const LoadedConfig& loaded) {
  const auto& model = loaded.config.model;
  ModelChoice choice;
  SABLE_TRY(const auto cards, load_model_cards(loaded));
  const std::string_view wanted = model->empty() ? kEmbeddedModel : *model;
  const auto take_card = [&] {
    const auto card = std::find_if(cards.begin(), cards.end(),
                                   [&](const ModelCard& c) { return c.name == wanted; });
    if (card == cards.end()) return false;
    choice.name = card->name;
    choice.card = *card;
    choice.path = card->weights;
    return true;
  };
  if (model->empty()) {
    std::error_code error;
    if (take_card() && !std::filesystem::exists(choice.path, error)) choice = {};
    return choice;
  }
  const auto provider = loaded.config.providers.find(*model);
  if (provider != loaded.config.providers.end()) {
    choice.name = provider->first;
    choice.provider = &provider->second;
    return choice;
  }
  if (take_card()) return choice;
  if (model->find('/') != std::string::npos) {
    choice.path = expand_home(*model, loaded.environment);
    if (choice.path.is_absolute() || model.origin.layer == Layer::flag) return choice;
    return refuse_at(ErrorCode::invalid_input, model.origin, "model",
                     "a path in a file must be absolute or begin with \"~/\"");
  }
  std::vector<std::string> names;
  for (const auto& [name, settings] : loaded.config.providers) names.push_back(name);
  for (const auto& card : cards) names.push_back(card.name);
  const auto near = nearest(*model, names);
  return refuse_at(
      ErrorCode::not_found, model.origin, "model",
      fmt::format("no provider or model \"{}\"; {}; a path of weights has a \"/\" in it",
                  one_line(*model),
                  near.empty() ? fmt::format("there are: {}", fmt::join(names, ", "))
                               : fmt::format("did you mean {}?", near)));
}

agent::OpenAiOptions to_openai_options(std::string name, const ProviderSettings& provider,
                                       std::string api_key) {
  agent::OpenAiOptions options;
  options.name = std::move(name);
  options.base_url = *provider.base_url;
  options.model = *provider.model;
  options.api_key = std::move(api_key);
  options.idle_timeout = *provider.idle_timeout;
  return options;
}

sandbox::Policy to_policy(const LoadedConfig& loaded, const std::filesystem::path& repository) {
  const auto& settings = loaded.config.sandbox;
  sandbox::Policy policy;
  policy.profile = loaded.profile;
  for (const auto& path : settings.readable.items) {
    policy.readable.push_back(expand_home(*path, loaded.environment));
  }
  for (const auto& item : settings.masked.items) {
    auto path = expand_home(*item, loaded.environment);
    if (path.is_relative()) {
      if (repository.empty()) continue;
      path = repository / path;
    }
    policy.masked.push_back(path.lexically_normal());
  }
  policy.masked.emplace_back(*loaded.config.home);
  policy.files = *settings.files;
  policy.network = *settings.network;
  for (const auto& host : settings.allowed_hosts.items) {
    auto allowed = sandbox::parse_allowed_host(*host);
    SABLE_CHECK(allowed);  // it was, when it was read
    policy.allowed_hosts.push_back(std::move(*allowed));
  }
  for (const auto& [name, value] : settings.environment) policy.environment[name] = *value;
  policy.limits.wall = *settings.timeout;
  policy.limits.memory_bytes = *settings.memory;
  policy.limits.processes = static_cast<uint32_t>(*settings.processes);
  policy.limits.output_bytes = *settings.output;
  policy.limits.temporary_bytes = *settings.temporary;
  policy.limits.disk_bytes = *settings.disk;
  return policy;
}

agent::TurnLimits to_turn_limits(const LimitSettings& limits) {
  agent::TurnLimits result;
  result.steps_max = static_cast<int>(*limits.steps);
  result.tool_calls_max = static_cast<int>(*limits.tool_calls);
  result.time_max = *limits.time;
  result.output_tokens_max = *limits.output_tokens;
  return result;
}

memory::Retention to_retention(const RetentionSettings& retention) {
  memory::Retention policy;
  if (*retention.days) {
    policy.age_max = std::chrono::hours(24) * static_cast<int64_t>(**retention.days);
  }
  policy.bytes_max = *retention.size;
  return policy;
}

agent::Sampling to_sampling(const SamplingSettings& sampling) {
  agent::Sampling result;
  result.temperature = *sampling.temperature;
  result.top_p = *sampling.top_p;
  result.seed = *sampling.seed;
  result.output_tokens_max = static_cast<uint32_t>(*sampling.output_tokens_max);
  return result;
}

tools::Approval approval_of(const Config& config, const std::string& tool, tools::Approval own) {
  const auto found = config.tools.find(tool);
  if (found == config.tools.end()) return own;
  const auto& set = found->second.approval;
  // The enum goes from allow to deny. A repository's value may be all that is set: then the
  // definition is what it may only tighten.
  return set.origin.layer == Layer::repository ? std::max(own, *set) : *set;
}

}  // namespace sable::runtime::config
