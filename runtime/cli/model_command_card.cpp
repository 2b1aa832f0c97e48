// `sable model card`: what a model was trained with, beside what this program has.
#include <algorithm>
#include <cstdio>
#include <system_error>

#include "base/text.h"
#include "runtime/cli/model_command.h"
#include "runtime/config/agents.h"
#include "runtime/config/model_cards.h"
#include "runtime/model_pack.h"
#include "runtime/session_parts.h"
#include "runtime/work_folder.h"

namespace sable::runtime {

namespace {

/// One thing that is pinned.
struct Pin {
  const char* key;
  std::string trained, here;
  bool fits() const { return trained.empty() || trained == here; }
};

Result<std::vector<Pin>> pins_of(const Program& program, const config::LoadedConfig& loaded,
                                 const config::ModelCard& card) {
  SABLE_TRY(const auto agents, config::load_agents(loaded, nullptr));
  config::Value<std::string> name = loaded.config.agent;
  if (!card.agent.empty()) name.value = card.agent;
  SABLE_TRY(const auto agent, config::find_agent(agents, name));
  SABLE_TRY(auto texts, built_in_prompt_texts());
  std::error_code error;
  if (std::filesystem::exists(card.weights, error)) {
    SABLE_TRY(texts, agent::load_prompt_texts(card.weights, std::move(texts)));
  }
  SABLE_TRY(const std::string prompt, prompt_digest(agent.config, texts));
  SABLE_TRY(auto sandbox, program.start_sandbox());
  SABLE_TRY(const auto folder, WorkFolder::temporary(program.variable("TMPDIR")));
  SABLE_TRY(const std::string results,
            tool_results_digest(folder->path() / "repository", std::move(sandbox)));
  return std::vector<Pin>{{"prompt_sha256", card.prompt_digest, prompt},
                          {"tool_results_sha256", card.tool_results_digest, results}};
}

}  // namespace

int model_card_action(const Program& program, const ModelOptions& options) {
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  const auto cards = config::load_model_cards(*loaded);
  if (!cards) return program.fail_with(cards.error());
  const auto card = std::find_if(cards->begin(), cards->end(),
                                 [&](const auto& c) { return c.name == options.path; });
  if (card == cards->end()) {
    std::vector<std::string> names;
    for (const auto& c : *cards) names.push_back(c.name);
    const auto near = nearest(options.path, names);
    return program.fail_with(
        {ErrorCode::not_found,
         "no model \"" + options.path + "\"; " +
             (near.empty() ? "see sable model list" : "did you mean " + near + "?")});
  }
  const auto pins = pins_of(program, *loaded, *card);
  if (!pins) return program.fail_with(pins.error());
  bool fits = true;
  Json json{{"name", card->name}, {"agent", card->agent}, {"origin", card->origin.text()}};
  for (const Pin& pin : *pins) {
    fits = fits && pin.fits();
    json[pin.key] = {{"trained", pin.trained}, {"here", pin.here}, {"fits", pin.fits()}};
  }
  if (program.json) {
    std::printf("%s\n", dump_json(json).c_str());
    return fits ? 0 : 1;
  }
  std::printf("# %s\n", escape_controls(card->origin.source).c_str());
  for (const Pin& pin : *pins) {
    std::printf("%s: %s%s\n", pin.key, pin.here.c_str(),
                pin.trained.empty() ? "  # not pinned"
                : pin.fits()        ? "  # as trained"
                                    : "  # the model was trained with another");
  }
  return fits ? 0 : 1;
}

}  // namespace sable::runtime
