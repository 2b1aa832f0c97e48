#include "agent/prompt/conversation.h"

#include <limits>

namespace sable::agent {

namespace {

constexpr const char* kKind = "tokens-1";

PromptMessage prompt_message(const Message& message, const std::string& model) {
  PromptMessage result{.content = message.text};
  switch (message.role) {
    case Role::system:
      result.role = PromptRole::system;
      break;
    case Role::user:
      result.role = PromptRole::user;
      break;
    case Role::tool:
      result.role = PromptRole::tool;
      result.tool_call_id = message.tool_call_id;
      break;
    case Role::assistant:
      result.role = PromptRole::assistant;
      result.reasoning = message.reasoning;
      result.tool_calls = message.tool_calls;
      // A reply that was cut off is told anew, so that nothing half-open stays in the prompt.
      if (auto record = replay_record(message.replay);
          record && record->complete && record->model == model) {
        result.sampled = std::move(record->tokens);
      }
      break;
  }
  return result;
}

}  // namespace

std::vector<PromptMessage> prompt_messages(const Transcript& messages,
                                           const std::vector<OfferedTool>& tools,
                                           const std::string& model) {
  std::vector<PromptMessage> result;
  for (const auto& message : messages) result.push_back(prompt_message(message, model));
  if (tools.empty()) return result;
  if (result.empty() || result.front().role != PromptRole::system) {
    result.insert(result.begin(), PromptMessage{.role = PromptRole::system});
  }
  for (const auto& tool : tools) {
    result.front().tools.push_back(
        {{"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}});
  }
  return result;
}

Json to_json(const ReplayRecord& record) {
  const auto& s = record.sampling;
  return {{"kind", kKind},
          {"model", record.model},
          {"complete", record.complete},
          {"sampling",
           {{"temperature", s.temperature},
            {"top_k", s.top_k},
            {"top_p", s.top_p},
            {"min_p", s.min_p},
            {"seed", s.seed}}},
          {"tokens", record.tokens}};
}

std::optional<ReplayRecord> replay_record(const Json& json) {
  if (!json.is_object() || string_or(json, "kind", "") != kKind) return std::nullopt;
  const auto tokens = json.find("tokens");
  if (tokens == json.end() || !tokens->is_array()) return std::nullopt;
  ReplayRecord record{.model = string_or(json, "model", "")};
  const auto complete = json.find("complete");
  record.complete = complete != json.end() && complete->is_boolean() && complete->get<bool>();
  for (const auto& token : *tokens) {
    if (!token.is_number_integer()) return std::nullopt;
    const auto id = token.get<int64_t>();
    if (id < 0 || id > std::numeric_limits<inference::TokenId>::max()) return std::nullopt;
    record.tokens.push_back(static_cast<inference::TokenId>(id));
  }
  if (const auto s = json.find("sampling"); s != json.end() && s->is_object()) {
    const auto number = [&](const char* key, auto& out) {
      const auto it = s->find(key);
      if (it != s->end() && it->is_number()) out = it->get<std::decay_t<decltype(out)>>();
    };
    number("temperature", record.sampling.temperature);
    number("top_k", record.sampling.top_k);
    number("top_p", record.sampling.top_p);
    number("min_p", record.sampling.min_p);
    number("seed", record.sampling.seed);
  }
  return record;
}

}  // namespace sable::agent
