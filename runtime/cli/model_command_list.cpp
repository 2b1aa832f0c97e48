// `sable model list`: models by name, and whether their weights are there.
#include <algorithm>
#include <cstdio>
#include <system_error>

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/cli/model_command.h"
#include "runtime/config/model_cards.h"

namespace sable::runtime {

int model_list_action(const Program& program, const ModelOptions& /*options*/) {
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  const auto cards = config::load_model_cards(*loaded);
  if (!cards) return program.fail_with(cards.error());
  const auto present = [](const config::ModelCard& card) {
    std::error_code error;
    return std::filesystem::exists(card.weights, error);
  };
  if (program.json) {
    Json models = Json::array();
    for (const auto& card : *cards) {
      models.push_back({{"name", card.name},
                        {"description", card.description},
                        {"weights", to_utf8(card.weights.string())},
                        {"present", present(card)},
                        {"agent", card.agent},
                        {"origin", card.origin.text()}});
    }
    Json endpoints = Json::array();
    for (const auto& [name, provider] : loaded->config.providers) {
      endpoints.push_back(
          {{"name", name}, {"model", *provider.model}, {"base_url", *provider.base_url}});
    }
    const Json all{{"models", std::move(models)}, {"endpoints", std::move(endpoints)}};
    std::printf("%s\n", dump_json(all).c_str());
    return 0;
  }
  size_t width = 0;
  for (const auto& card : *cards) width = std::max(width, card.name.size());
  for (const auto& [name, provider] : loaded->config.providers)
    width = std::max(width, name.size());
  for (const auto& card : *cards) {
    std::printf("%-*s  %s%s\n", static_cast<int>(width), card.name.c_str(),
                escape_controls(card.weights.string()).c_str(),
                present(card) ? "" : "  (not there)");
    if (!card.description.empty()) {
      std::printf("%-*s  %s\n", static_cast<int>(width), "", card.description.c_str());
    }
  }
  for (const auto& [name, provider] : loaded->config.providers) {
    std::printf("%-*s  %s at %s\n", static_cast<int>(width), name.c_str(), provider.model->c_str(),
                provider.base_url->c_str());
  }
  return 0;
}

}  // namespace sable::runtime
