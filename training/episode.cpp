#include "training/episode.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "base/file.h"
#include "runtime/config/agents.h"

namespace sable::training {

namespace {

constexpr std::pair<agent::PromptRole, const char*> kRoles[] = {
    {agent::PromptRole::system, "system"},
    {agent::PromptRole::user, "user"},
    {agent::PromptRole::assistant, "assistant"},
    {agent::PromptRole::tool, "tool"}};

Json json_of(const agent::PromptMessage& m) {
  Json json = Json::object();
  for (const auto& [role, name] : kRoles) {
    if (role == m.role) json["role"] = name;
  }
  json["content"] = m.content;
  if (!m.tool_call_id.empty()) json["id"] = m.tool_call_id;
  if (!m.tools.empty()) json["tools"] = m.tools;
  for (const agent::RequestedCall& call : m.tool_calls) {
    json["calls"].push_back({{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  }
  return json;
}

std::vector<Json> offered_to(const std::vector<std::string>& used, const AgentPack& pack,
                             evaluation::Split split, Random& random) {
  std::vector<Json> list;
  const bool varied = random.chance(0.45);
  for (const agent::OfferedTool& tool : pack.tools) {
    const bool needed = std::find(used.begin(), used.end(), tool.name) != used.end();
    if (varied && !needed && random.chance(0.3)) continue;
    list.push_back(
        {{"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}});
  }
  if (!varied) return list;
  evaluation::Names names(split, random);
  const size_t n_strangers = random.below(3);
  for (size_t i = 0; i < n_strangers; ++i) {
    const std::string argument = names.word();
    Json parameters{{"type", "object"},
                    {"properties", {{argument, {{"type", "string"}}}}},
                    {"required", Json::array({argument})},
                    {"additionalProperties", false}};
    list.push_back(
        {{"name", names.name(evaluation::Style::snake, 2)},
         {"description", fmt::format("Gets the {} of a {}.", names.word(), names.word())},
         {"parameters", std::move(parameters)}});
  }
  if (random.chance(0.5)) random.shuffle(std::span(list));
  return list;
}

}  // namespace

Json to_json(const Episode& episode) {
  Json json{{"family", episode.family}, {"thinking", episode.thinking}};
  if (!episode.mistakes.empty()) json["mistakes"] = episode.mistakes;
  for (const agent::PromptMessage& m : episode.messages) json["messages"].push_back(json_of(m));
  return json;
}

Result<Episode> episode_from_json(const Json& json) {
  Episode episode;
  if (!json.is_object() || !json.contains("messages") || !json["messages"].is_array()) {
    return fail(ErrorCode::corrupt, "an episode has no messages");
  }
  episode.family = string_or(json, "family", "");
  episode.thinking = json.value("thinking", true);
  for (const Json& reply : json.value("mistakes", Json::array())) {
    if (reply.is_number_unsigned()) episode.mistakes.push_back(reply.get<size_t>());
  }
  for (const Json& from : json["messages"]) {
    agent::PromptMessage m;
    const std::string name = string_or(from, "role", "");
    bool known = false;
    for (const auto& [role, text] : kRoles) {
      if (name != text) continue;
      m.role = role;
      known = true;
    }
    if (!known) return fail(ErrorCode::corrupt, "an episode's message has no role");
    m.content = string_or(from, "content", "");
    m.tool_call_id = string_or(from, "id", "");
    if (from.contains("tools")) m.tools = from["tools"].get<std::vector<Json>>();
    for (const Json& call : from.value("calls", Json::array())) {
      m.tool_calls.push_back({string_or(call, "id", ""), string_or(call, "name", ""),
                              string_or(call, "arguments", "")});
    }
    episode.messages.push_back(std::move(m));
  }
  return episode;
}

Episode episode_of(evaluation::Play play, std::string family, const AgentPack& pack,
                   evaluation::Split split, Random& random) {
  agent::AgentConfig config = pack.config;
  config.read_instructions = false;
  agent::PromptMessage system{.role = agent::PromptRole::system,
                              .content = agent::system_message(config, play.root)};
  system.tools = offered_to(play.used_tools, pack, split, random);
  Episode episode{.family = std::move(family), .messages = {std::move(system)}};
  episode.messages.insert(episode.messages.end(), play.messages.begin(), play.messages.end());
  episode.mistakes = std::move(play.mistakes);
  episode.thinking = random.chance(0.75);
  return episode;
}

Result<AgentPack> AgentPack::read(const std::filesystem::path& configs) {
  AgentPack pack;
  const auto file = configs / "agents" / "embedded.yaml",
             words = configs / "models" / "prompt.yaml";
  SABLE_TRY(const std::string yaml, read_file(file));
  const runtime::config::Origin origin{};
  SABLE_TRY(auto definition, runtime::config::parse_agent(yaml, origin, "embedded", {}));
  pack.config = std::move(definition.config);
  SABLE_TRY(pack.tools, agent::offered_tools(tools::Registry::with_builtins(), pack.config));
  SABLE_TRY(const std::string texts, read_file(words));
  SABLE_TRY(pack.texts, agent::parse_prompt_texts(texts, words.string()));
  return pack;
}

}  // namespace sable::training
