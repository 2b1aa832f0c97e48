// The agent that the embedded model was trained for, pinned: a change here needs a new model.
#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "base/digest.h"
#include "base/file.h"
#include "evaluation/evaluation.h"
#include "runtime/config/agents.h"
#include "runtime/config/model_cards.h"
#include "runtime/model_pack.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;

namespace {

std::string file(const std::string& name) {
  const auto text = read_file(std::string(SABLE_SOURCE_DIR) + "/configs/" + name);
  REQUIRE(text);
  return *text;
}

runtime::config::AgentDefinition embedded() {
  auto agent = runtime::config::parse_agent(file("agents/embedded.yaml"),
                                            {.source = "agents/embedded.yaml"}, "embedded", {});
  REQUIRE(agent);
  return *agent;
}

/// What the embedded model's card says that it was trained with.
runtime::config::ModelCard card() {
  auto read = runtime::config::parse_model_card(
      file("models/embedded.yaml"),
      {.source = std::string(SABLE_SOURCE_DIR) + "/configs/models/embedded.yaml"});
  if (!read) FAIL(read.error().message);
  return *read;
}

}  // namespace

TEST_CASE("the embedded agent offers at most seven tools, all of them built in") {
  const auto agent = embedded();
  CHECK(agent.version == 1);
  const auto tools = offered_tools(tools::Registry::with_builtins(), agent.config);
  REQUIRE(tools);
  CHECK(tools->size() == agent.config.tools.size());
  CHECK(tools->size() <= 7);
  CHECK(CallGrammar::compile(*tools)->left_out().empty());
}

// Changed on purpose? Raise the agent's version, train a new model, and write what `sable model
// card embedded` prints into its card.

TEST_CASE("the prompt that the embedded model was trained with has not changed") {
  const auto texts = parse_prompt_texts(file("models/prompt.yaml"), "prompt.yaml");
  REQUIRE(texts);
  const auto prompt = runtime::pinned_prompt(embedded().config, *texts);
  REQUIRE(prompt);
  INFO(*prompt);
  CHECK(to_hex(sha256(*prompt)) == card().prompt_digest);
}

TEST_CASE("what tools answer to the embedded model has not changed") {
  const test::TemporaryFolder folder;
  auto sandbox = sandbox::Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
  if (!sandbox) FAIL(sandbox.error().message);
  auto bench = evaluation::Workbench::open(folder / "bench", std::move(*sandbox));
  REQUIRE(bench);
  const auto results = evaluation::golden_tool_results(**bench);
  if (!results) FAIL(results.error().message);
  INFO(*results);
  CHECK(to_hex(sha256(*results)) == card().tool_results_digest);
}

TEST_CASE("an offer narrows a tool's schema and never widens it") {
  AgentConfig agent{.name = "a", .tools = {"search"}};
  const auto registry = tools::Registry::with_builtins();
  const auto* search = registry.find("search");
  REQUIRE(search != nullptr);
  agent.offers["search"] = {.description = "Mine",
                            .parameters = {{{"path", ""}, {"pattern", "what"}}}};
  const auto offered = offered_tools(registry, agent);
  REQUIRE(offered);
  REQUIRE(offered->size() == 1);
  const auto& tool = offered->front();
  CHECK(tool.description == "Mine");
  CHECK(tool.parameters["additionalProperties"] == false);
  CHECK(tool.parameters["required"] == search->parameters["required"]);
  REQUIRE(tool.parameters["properties"].size() == 2);
  CHECK(tool.parameters["properties"].begin().key() == "path");
  CHECK_FALSE(tool.parameters["properties"]["path"].contains("description"));
  CHECK(tool.parameters["properties"]["pattern"]["description"] == "what");
  CHECK(tool.parameters["properties"]["pattern"]["maxLength"] ==
        search->parameters["properties"]["pattern"]["maxLength"]);

  agent.offers["search"].parameters = {{{"path", ""}}};
  CHECK(offered_tools(registry, agent).error().message.find("\"pattern\" is left out") !=
        std::string::npos);
  agent.offers["search"].parameters = {{{"pattern", ""}, {"where", ""}}};
  CHECK(offered_tools(registry, agent).error().message.find("no parameter \"where\"") !=
        std::string::npos);
}
