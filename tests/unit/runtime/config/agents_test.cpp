#include "runtime/config/agents.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "tests/unit/runtime/config/config_fixture.h"

using namespace sable;
using namespace sable::runtime::config;
using namespace sable::runtime::config::test;

namespace {

std::string refused_agent(std::string_view text) {
  const auto agent = parse_agent(text, {.layer = Layer::user, .source = "a.yaml"}, "a", Config{});
  return agent ? "accepted" : agent.error().message;
}

std::vector<std::string> names_of(const std::vector<AgentDefinition>& agents) {
  std::vector<std::string> names;
  for (const auto& agent : agents) names.push_back(agent.config.name);
  return names;
}

}  // namespace

TEST_CASE("the built-in agent offers every tool, reads instructions and has a prompt") {
  ConfigFixture fixture;
  const auto loaded = fixture.load().value();
  const auto agents = load_agents(loaded, nullptr);
  REQUIRE(agents);
  const auto agent = find_agent(*agents, loaded.config.agent).value();
  CHECK(agent.config.tools.empty());
  CHECK(agent.config.read_instructions);
  CHECK(agent.config.sampling.output_tokens_max == 8192);
  CHECK_FALSE(agent.config.sampling.temperature);
  for (const auto* tool :
       {"read_file", "list_files", "search", "edit_file", "write_file", "shell"}) {
    CHECK(agent.config.system_prompt.find("`" + std::string(tool) + "`") != std::string::npos);
  }
}

TEST_CASE("an agent's sampling lies on top of the settings'") {
  ConfigFixture fixture;
  fixture.user("sampling: {temperature: 0.5, output_tokens_max: 100}\n");
  const auto agent = parse_agent(
      "name: a\nsystem_prompt: Do.\nsampling: {temperature: 0}\ntools: [search]\n"
      "read_instructions: false\ndescription: d\n",
      {.layer = Layer::user, .source = "a.yaml"}, "a", fixture.config());
  REQUIRE(agent);
  CHECK(agent->config.sampling.temperature == 0.0);
  CHECK(agent->config.sampling.output_tokens_max == 100);
  CHECK(agent->config.tools == std::vector<std::string>{"search"});
  CHECK_FALSE(agent->config.read_instructions);
  CHECK(agent->config.system_prompt == "Do.");
  CHECK(agent->description == "d");
}

TEST_CASE("mistakes in an agent's file are refused with their place") {
  CHECK(refused_agent("name: a\nsystem_promt: x\n") ==
        "a.yaml:2:1: unknown key \"system_promt\"; did you mean system_prompt?");
  CHECK(refused_agent("name: a\nhooks: x\n") ==
        "a.yaml:2:1: unknown key \"hooks\"; did you mean tools?");
  CHECK(refused_agent("name: a\nzzzzzzzz: x\n").find("known here: name, version, description") !=
        std::string::npos);
  CHECK(refused_agent("name: a\n") == "a.yaml:1:1: system_prompt: is missing");
  CHECK(refused_agent("system_prompt: x\n") == "a.yaml:1:1: name: is missing");
  CHECK(refused_agent("name: b\nsystem_prompt: x\n") ==
        "a.yaml:1:7: name: expected a, as the file is called");
  CHECK(refused_agent("name: a b\nsystem_prompt: x\n")
            .rfind("a.yaml:1:7: name: expected a name", 0) == 0);
  CHECK(refused_agent("name: a\nsystem_prompt: [x]\n") ==
        "a.yaml:2:16: system_prompt: expected text");
  CHECK(refused_agent("name: a\nsystem_prompt: x\ntools: []\n") ==
        "a.yaml:3:8: tools: an empty list; leave the key out to offer every tool");
  CHECK(refused_agent("name: a\nsystem_prompt: x\ntools: [b, b]\n") ==
        "a.yaml:3:12: tools: b stands here twice");
  CHECK(refused_agent("name: a\nsystem_prompt: x\ntools: b\n").find("expected a list") !=
        std::string::npos);
  CHECK(refused_agent("name: a\nsystem_prompt: x\nread_instructions: maybe\n") ==
        "a.yaml:3:20: read_instructions: expected true or false");
  CHECK(refused_agent("name: a\nsystem_prompt: x\nsampling: {temprature: 1}\n") ==
        "a.yaml:3:12: unknown setting \"sampling.temprature\"; did you mean temperature?");
  CHECK(refused_agent("name: a\nsystem_prompt: x\nsampling: {temperature: 9}\n")
            .rfind("a.yaml:3:25: sampling.temperature: expected a number", 0) == 0);
  CHECK(refused_agent("- a\n").rfind("a.yaml:1:1: expected a mapping", 0) == 0);
  CHECK(refused_agent("").rfind("a.yaml:1:1: expected a mapping", 0) == 0);
  CHECK(refused_agent("name: a\nsystem_prompt: " + std::string(70000, 'x') + "\n")
            .find("longer than 65536 bytes") != std::string::npos);
}

TEST_CASE("an agent may put a tool in its own words, with fewer parameters") {
  const auto agent = parse_agent(
      "name: a\nversion: 3\nmax_steps: 12\nsystem_prompt: x\ntools:\n  - shell\n  - name: search\n"
      "    description: Finds\n    parameters: {pattern: what, path: }\n",
      {.source = "a.yaml"}, "a", {});
  REQUIRE(agent);
  CHECK(agent->version == 3);
  CHECK(agent->steps_max == 12);
  CHECK(agent->config.tools == std::vector<std::string>{"shell", "search"});
  REQUIRE(agent->config.offers.size() == 1);
  const auto& offer = agent->config.offers.at("search");
  CHECK(offer.description == "Finds");
  REQUIRE(offer.parameters);
  CHECK(*offer.parameters ==
        std::vector<std::pair<std::string, std::string>>{{"pattern", "what"}, {"path", ""}});
  const std::string begin = "name: a\nsystem_prompt: x\n";
  CHECK(refused_agent(begin + "tools: [{description: x}]\n").find("name is missing") !=
        std::string::npos);
  CHECK(refused_agent(begin + "tools: [{name: t, params: x}]\n").find("unknown key \"params\"") !=
        std::string::npos);
  CHECK(
      refused_agent(begin + "tools: [{name: t, parameters: [x]}]\n").find("expected parameters") !=
      std::string::npos);
  CHECK(refused_agent(begin + "tools: [t, {name: t}]\n").find("stands here twice") !=
        std::string::npos);
  CHECK(refused_agent(begin + "version: 0\n") == "a.yaml:3:10: version: expected a number from 1");
  CHECK(refused_agent(begin + "max_steps: 0\n") ==
        "a.yaml:3:12: max_steps: expected a number from 1 to 1000000");
}

TEST_CASE("any bytes as an agent are accepted or refused with the file's name") {
  rc::prop("no crash", [](const std::string& bytes) {
    const auto message = refused_agent(bytes);
    RC_ASSERT(message == "accepted" || message.rfind("a.yaml:", 0) == 0);
  });
}

TEST_CASE("a user's agents join the built-in ones and may replace them") {
  ConfigFixture fixture;
  fixture.folder.write("home/.config/sable/agents/review.yaml",
                       "name: review\nsystem_prompt: Review.\ntools: [search, read_file]\n");
  fixture.folder.write("home/.config/sable/agents/notes.txt", "not an agent");
  auto agents = load_agents(fixture.load().value(), nullptr).value();
  CHECK(names_of(agents) == std::vector<std::string>{"default", "embedded", "review"});
  fixture.folder.write("home/.config/sable/agents/default.yaml",
                       "name: default\nsystem_prompt: Mine.\n");
  agents = load_agents(fixture.load().value(), nullptr).value();
  REQUIRE(agents.size() == 3);
  CHECK(agents[0].config.system_prompt == "Mine.");
  CHECK(agents[0].origin.layer == Layer::user);
}

TEST_CASE("a repository's agents load only when trusted, and replace none") {
  ConfigFixture fixture;
  fixture.repository("");
  fixture.folder.write("repo/.sable/agents/local.yaml",
                       "name: local\nsystem_prompt: Here.\nsampling: {temperature: 1}\n");
  const TrustStore store(fixture.folder / "state", system_clock());
  const auto loaded = fixture.load().value();
  CHECK(names_of(load_agents(loaded, nullptr).value()) ==
        std::vector<std::string>{"default", "embedded"});
  const auto trust = [&] {
    const auto content = read_brought(fixture.folder / "repo").value();
    REQUIRE(store.grant(content));
    return store.check(content).value();
  };
  auto verdict = trust();
  const auto agents = load_agents(loaded, &*verdict.trusted).value();
  CHECK(names_of(agents) == std::vector<std::string>{"default", "embedded", "local"});
  CHECK(agents[2].origin.layer == Layer::repository);
  CHECK(agents[2].config.sampling.temperature == 1.0);

  fixture.folder.write("repo/.sable/agents/default.yaml", "name: default\nsystem_prompt: Evil.\n");
  verdict = trust();
  const auto refused = load_agents(loaded, &*verdict.trusted);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("there is an agent \"default\" already (built-in)") !=
        std::string::npos);
}

TEST_CASE("an unknown agent names where it was asked for and the nearest one") {
  ConfigFixture fixture;
  fixture.flag("--agent", "agent", "defualt");
  const auto loaded = fixture.load().value();
  const auto found = find_agent(load_agents(loaded, nullptr).value(), loaded.config.agent);
  REQUIRE_FALSE(found);
  CHECK(found.error().message == "--agent: agent: no agent \"defualt\"; did you mean default?");
}
