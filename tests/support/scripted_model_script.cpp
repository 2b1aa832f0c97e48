// The script's shape, checked when it is read: a typing error in a test must not pass silently.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "tests/support/scripted_model_server.h"

namespace sable::test {

namespace {

using Names = std::vector<std::string_view>;

const Names kReplyKeys = {"text",           "reasoning",   "tool_calls",  "finish_reason",
                          "usage",          "delta_chars", "piece_bytes", "delay_ms",
                          "first_delay_ms", "wait_for",    "fault",       "status",
                          "retry_after",    "message",     "stream",      "expect"};
const Names kCallKeys = {"id", "name", "arguments"};
const Names kExpectKeys = {"n_messages", "last_role", "last_contains", "contains",
                           "lacks",      "tools",     "authorization", "model"};
const Names kFaults = {"status",      "refuse",      "hang",         "hang_half",
                       "half_stream", "disconnect",  "invalid_json", "no_done",
                       "no_finish",   "error_event", "not_sse"};

bool knows(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<void> check_keys(const Json& object, const Names& known, const std::string& where) {
  if (!object.is_object()) return fail(ErrorCode::invalid_input, where + ": expected an object");
  for (const auto& [key, value] : object.items()) {
    if (!knows(known, key)) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: unknown key \"{}\"", where, key));
    }
  }
  return {};
}

Result<void> check_reply(const Json& reply, const std::string& where) {
  SABLE_TRY_VOID(check_keys(reply, kReplyKeys, where));
  for (const char* key : {"delta_chars", "piece_bytes", "delay_ms", "first_delay_ms", "status"}) {
    if (reply.contains(key) && !reply[key].is_number_unsigned()) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: {} must be a number", where, key));
    }
  }
  for (const char* key :
       {"text", "reasoning", "finish_reason", "wait_for", "fault", "retry_after", "message"}) {
    if (reply.contains(key) && !reply[key].is_string()) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: {} must be a string", where, key));
    }
  }
  if (reply.contains("fault") && !knows(kFaults, reply["fault"].get<std::string>())) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: unknown fault \"{}\"", where, reply["fault"].get<std::string>()));
  }
  if (reply.contains("tool_calls")) {
    if (!reply["tool_calls"].is_array()) {
      return fail(ErrorCode::invalid_input, where + ": tool_calls must be a list");
    }
    for (const auto& call : reply["tool_calls"]) {
      SABLE_TRY_VOID(check_keys(call, kCallKeys, where + ": tool call"));
    }
  }
  if (reply.contains("expect")) {
    SABLE_TRY_VOID(check_keys(reply["expect"], kExpectKeys, where + ": expect"));
  }
  return {};
}

}  // namespace

Result<Script> Script::parse(std::string_view text) {
  SABLE_TRY(const auto json, parse_json(text));
  SABLE_TRY_VOID(check_keys(json, {"replies", "repeat_last"}, "script"));
  if (!json.contains("replies") || !json["replies"].is_array()) {
    return fail(ErrorCode::invalid_input, "script: \"replies\" must be a list");
  }
  Script script;
  if (json.contains("repeat_last")) script.repeat_last = json["repeat_last"] == Json(true);
  for (const auto& reply : json["replies"]) {
    SABLE_TRY_VOID(check_reply(reply, fmt::format("reply {}", script.replies.size() + 1)));
    script.replies.push_back({reply});
  }
  return script;
}

}  // namespace sable::test
