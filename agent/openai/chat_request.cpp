#include "agent/openai/chat_request.h"

namespace sable::agent {

namespace {

std::string sendable_arguments(const std::string& arguments) {
  if (const auto parsed = parse_json(arguments); parsed && parsed->is_object()) return arguments;
  return dump_json(Json{{"invalid_arguments", arguments}});
}

Json to_json(const Message& message) {
  Json json{{"role", name_of(message.role)}, {"content", message.text}};
  if (message.role == Role::tool) json["tool_call_id"] = message.tool_call_id;
  if (!message.reasoning.empty()) json["reasoning_content"] = message.reasoning;
  if (!message.tool_calls.empty()) {
    Json calls = Json::array();
    for (const auto& call : message.tool_calls) {
      calls.push_back(
          {{"id", call.id},
           {"type", "function"},
           {"function", {{"name", call.name}, {"arguments", sendable_arguments(call.arguments)}}}});
    }
    json["tool_calls"] = std::move(calls);
  }
  return json;
}

}  // namespace

Json chat_request(const StepRequest& request, std::string_view model) {
  Json messages = Json::array();
  for (const auto& message : request.messages) messages.push_back(to_json(message));
  Json body{{"model", model}, {"messages", std::move(messages)}};
  if (!request.tools.empty()) {
    Json tools = Json::array();
    for (const auto& tool : request.tools) {
      tools.push_back({{"type", "function"},
                       {"function",
                        {{"name", tool.name},
                         {"description", tool.description},
                         {"parameters", tool.parameters}}}});
    }
    body["tools"] = std::move(tools);
  }
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  body["max_tokens"] = request.sampling.output_tokens_max;
  if (request.sampling.temperature) body["temperature"] = *request.sampling.temperature;
  if (request.sampling.top_p) body["top_p"] = *request.sampling.top_p;
  if (request.sampling.seed) body["seed"] = *request.sampling.seed;
  return body;
}

}  // namespace sable::agent
