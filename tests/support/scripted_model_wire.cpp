#include "tests/support/scripted_model_wire.h"

#include "base/text.h"

namespace sable::test {

namespace {

Json chunk(size_t n, const std::string& model, Json delta, Json finish_reason = nullptr) {
  return {{"id", "chatcmpl-" + std::to_string(n)},
          {"object", "chat.completion.chunk"},
          {"created", 1795300000},
          {"model", model},
          {"choices", Json::array({{{"index", 0},
                                    {"delta", std::move(delta)},
                                    {"finish_reason", std::move(finish_reason)}}})}};
}

std::string event(const Json& data) { return "data: " + dump_json(data) + "\n\n"; }

/// Parts of `n_chars` code points; all in one for 0.
std::vector<std::string> parts(const std::string& text, size_t n_chars) {
  if (text.empty()) return {};
  if (n_chars == 0) return {text};
  std::vector<std::string> result;
  size_t n = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (begins && n++ % n_chars == 0) result.emplace_back();
    if (result.empty()) result.emplace_back();
    result.back() += c;
  }
  return result;
}

std::string arguments_of(const Json& call) {
  const Json arguments = call.value("arguments", Json::object());
  return arguments.is_string() ? arguments.get<std::string>() : dump_json(arguments);
}

Json id_of(const Json& call, size_t n, size_t index) {
  if (call.contains("id")) return call["id"];
  return "call_" + std::to_string(n) + "_" + std::to_string(index + 1);
}

std::string finish_reason_of(const Json& reply) {
  return string_or(reply, "finish_reason", reply.contains("tool_calls") ? "tool_calls" : "stop");
}

Json usage_of(const Json& reply) {
  Json given = Json::object();
  if (reply.contains("usage") && reply["usage"].is_object()) given = reply["usage"];
  const auto prompt = given.value("prompt_tokens", uint64_t{100});
  const auto completion = given.value("completion_tokens", uint64_t{10});
  return {
      {"prompt_tokens", prompt},
      {"completion_tokens", completion},
      {"total_tokens", prompt + completion},
      {"prompt_tokens_details", {{"cached_tokens", given.value("cached_tokens", uint64_t{0})}}}};
}

bool wants_usage(const Json& reply) {
  return !reply.contains("usage") || reply["usage"].is_object();
}

}  // namespace

std::vector<std::string> stream_events(const Json& reply, size_t n, const std::string& model) {
  const size_t delta_chars = reply.value("delta_chars", size_t{16});
  std::vector<std::string> events{event(chunk(n, model, {{"role", "assistant"}, {"content", ""}}))};
  for (const auto& part : parts(string_or(reply, "reasoning", ""), delta_chars)) {
    events.push_back(event(chunk(n, model, {{"reasoning_content", part}})));
  }
  for (const auto& part : parts(string_or(reply, "text", ""), delta_chars)) {
    events.push_back(event(chunk(n, model, {{"content", part}})));
  }
  const Json calls = reply.value("tool_calls", Json::array());
  for (size_t i = 0; i < calls.size(); ++i) {
    Json first{{"index", i}, {"type", "function"}};
    if (const auto id = id_of(calls[i], n, i); !id.is_null()) first["id"] = id;
    first["function"] = {{"name", string_or(calls[i], "name", "")}, {"arguments", ""}};
    events.push_back(event(chunk(n, model, {{"tool_calls", Json::array({std::move(first)})}})));
    for (const auto& part : parts(arguments_of(calls[i]), delta_chars)) {
      const Json more{{"index", i}, {"function", {{"arguments", part}}}};
      events.push_back(event(chunk(n, model, {{"tool_calls", Json::array({more})}})));
    }
  }
  events.push_back(event(chunk(n, model, Json::object(), finish_reason_of(reply))));
  if (wants_usage(reply)) {
    Json last = chunk(n, model, Json::object());
    last["choices"] = Json::array();
    last["usage"] = usage_of(reply);
    events.push_back(event(last));
  }
  events.emplace_back("data: [DONE]\n\n");
  return events;
}

std::string whole_answer(const Json& reply, size_t n, const std::string& model) {
  Json message{{"role", "assistant"}, {"content", string_or(reply, "text", "")}};
  if (reply.contains("reasoning")) message["reasoning_content"] = reply["reasoning"];
  const Json calls = reply.value("tool_calls", Json::array());
  for (size_t i = 0; i < calls.size(); ++i) {
    message["tool_calls"].push_back(
        {{"id", id_of(calls[i], n, i)},
         {"type", "function"},
         {"function",
          {{"name", string_or(calls[i], "name", "")}, {"arguments", arguments_of(calls[i])}}}});
  }
  Json answer{{"id", "chatcmpl-" + std::to_string(n)},
              {"object", "chat.completion"},
              {"created", 1795300000},
              {"model", model},
              {"choices", Json::array({{{"index", 0},
                                        {"message", std::move(message)},
                                        {"finish_reason", finish_reason_of(reply)}}})}};
  if (wants_usage(reply)) answer["usage"] = usage_of(reply);
  return dump_json(answer);
}

std::vector<std::string> cut(const std::vector<std::string>& events, size_t piece_bytes) {
  if (piece_bytes == 0) return events;
  std::string all;
  for (const auto& one : events) all += one;
  std::vector<std::string> pieces;
  for (size_t at = 0; at < all.size(); at += piece_bytes)
    pieces.push_back(all.substr(at, piece_bytes));
  return pieces;
}

}  // namespace sable::test
