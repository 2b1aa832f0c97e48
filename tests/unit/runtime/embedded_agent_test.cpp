// The agent that the embedded model was trained for, pinned: a change here needs a new model.
#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "base/digest.h"
#include "base/file.h"
#include "runtime/config/agents.h"

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

/// What every session of this agent begins with, in a repository at /repository.
std::string rendered_prefix() {
  const auto agent = embedded();
  const auto tools = offered_tools(tools::Registry::with_builtins(), agent.config);
  REQUIRE(tools);
  const auto texts = parse_prompt_texts(file("models/prompt.yaml"), "prompt.yaml");
  REQUIRE(texts);
  const std::vector<Message> messages = {
      {.role = Role::system, .text = system_message(agent.config, "/repository")},
      {.role = Role::user, .text = ""}};
  const auto prompt =
      render_prompt(prompt_messages(messages, *tools, ""), *texts, {.thinking = false});
  REQUIRE(prompt);
  return text_of(*prompt);
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

TEST_CASE("the prompt that the embedded model was trained with has not changed") {
  const auto prefix = rendered_prefix();
  INFO(prefix);
  // Changed on purpose? Raise the agent's version, train a new model, and write the new hash here
  // and in its card.
  CHECK(to_hex(sha256(prefix)) ==
        "211dc19439a1d521d8fbff5035be6890ac14f4a739e0fb3e992e5dd1ed8e5d52");
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
