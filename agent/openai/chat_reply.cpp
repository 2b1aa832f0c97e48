#include "agent/openai/chat_reply.h"

#include <fmt/format.h>

#include "base/text.h"

namespace sable::agent {

namespace {

constexpr size_t kReplyBytesMax = size_t{32} << 20;
constexpr size_t kCallsMax = 256;
constexpr size_t kMessageBytesMax = 500;

std::string error_message_of(const Json& json) {
  std::string message;
  if (json.is_object() && json.contains("error")) {
    const auto& error = json["error"];
    message = error.is_string() ? error.get<std::string>() : string_or(error, "message", "");
  }
  if (message.empty()) message = string_or(json, "message", "");
  message.resize(utf8_prefix(message, kMessageBytesMax));
  return escape_controls(message);
}

uint64_t count_in(const Json& object, const char* key) {
  if (!object.is_object()) return 0;
  const auto it = object.find(key);
  return it != object.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

}  // namespace

std::string error_message_in(std::string_view body) {
  const auto json = parse_json(body);
  return json ? error_message_of(*json) : std::string();
}

Result<void> ChatReplyBuilder::take(std::string_view data, const DeltaSink& on_delta) {
  if (done_) return {};
  if (data == "[DONE]") {
    done_ = true;
    return {};
  }
  const auto chunk = parse_json(data);
  if (!chunk || !chunk->is_object()) {
    return fail(ErrorCode::corrupt, "the endpoint sent a chunk that is not a JSON object");
  }
  if (chunk->contains("error") && !(*chunk)["error"].is_null()) {
    return fail(ErrorCode::io, "the endpoint broke off: " + error_message_of(*chunk));
  }
  take_usage(*chunk);
  const auto choices = chunk->find("choices");
  if (choices == chunk->end() || !choices->is_array() || choices->empty()) return {};
  return take_choice(choices->front(), "delta", on_delta);
}

Result<void> ChatReplyBuilder::take_whole(std::string_view body, const DeltaSink& on_delta) {
  const auto answer = parse_json(body);
  if (!answer || !answer->is_object()) {
    return fail(ErrorCode::corrupt, "the endpoint's answer is not JSON");
  }
  if (answer->contains("error") && !(*answer)["error"].is_null()) {
    return fail(ErrorCode::io, "the endpoint failed: " + error_message_of(*answer));
  }
  take_usage(*answer);
  const auto choices = answer->find("choices");
  if (choices == answer->end() || !choices->is_array() || choices->empty()) {
    return fail(ErrorCode::corrupt, "the endpoint's answer has no choices");
  }
  return take_choice(choices->front(), "message", on_delta);
}

Result<void> ChatReplyBuilder::take_choice(const Json& choice, const char* part,
                                           const DeltaSink& on_delta) {
  if (!choice.is_object()) return fail(ErrorCode::corrupt, "the endpoint sent a malformed choice");
  if (const auto it = choice.find(part); it != choice.end() && it->is_object()) {
    auto reasoning = string_or(*it, "reasoning_content", "");
    if (reasoning.empty()) reasoning = string_or(*it, "reasoning", "");
    const auto text = string_or(*it, "content", "");
    bytes_ += reasoning.size() + text.size();
    if (!reasoning.empty()) {
      started_ = true;
      reply_.reasoning += reasoning;
      on_delta(ReasoningDelta{std::move(reasoning)});
    }
    if (!text.empty()) {
      started_ = true;
      reply_.text += text;
      on_delta(TextDelta{text});
    }
    if (const auto calls = it->find("tool_calls"); calls != it->end() && calls->is_array()) {
      SABLE_TRY_VOID(take_calls(*calls, on_delta));
    }
  }
  if (bytes_ > kReplyBytesMax) {
    return fail(ErrorCode::exhausted,
                fmt::format("the model's answer is larger than {} bytes", kReplyBytesMax));
  }
  const auto reason = string_or(choice, "finish_reason", "");
  if (!reason.empty()) {
    finished_ = true;
    reply_.finish = reason == "length"           ? FinishReason::length
                    : reason == "content_filter" ? FinishReason::filtered
                    : reason == "tool_calls"     ? FinishReason::tool_calls
                                                 : FinishReason::stop;
  }
  return {};
}

Result<void> ChatReplyBuilder::take_calls(const Json& calls, const DeltaSink& on_delta) {
  for (size_t position = 0; position < calls.size(); ++position) {
    const Json& piece = calls[position];
    if (!piece.is_object())
      return fail(ErrorCode::corrupt, "the endpoint sent a malformed tool call");
    const auto index_field = piece.find("index");
    const size_t index = index_field != piece.end() && index_field->is_number_unsigned()
                             ? index_field->get<size_t>()
                             : position;
    if (index >= kCallsMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("the model asked for more than {} calls at once", kCallsMax));
    }
    auto& call = calls_[index];
    if (call.id.empty()) call.id = string_or(piece, "id", "");
    const auto function = piece.find("function");
    if (function == piece.end() || !function->is_object()) continue;
    CallDelta delta{.index = index};
    if (call.name.empty()) {
      call.name = string_or(*function, "name", "");
      delta.name = call.name;
    }
    if (const auto it = function->find("arguments"); it != function->end()) {
      // A few endpoints send the arguments as an object instead of a string.
      delta.arguments = it->is_string() ? it->get<std::string>()
                        : it->is_null() ? ""
                                        : dump_json(*it);
    }
    call.arguments += delta.arguments;
    bytes_ += delta.arguments.size();
    started_ = true;
    on_delta(delta);
  }
  return {};
}

void ChatReplyBuilder::take_usage(const Json& chunk) {
  const auto usage = chunk.find("usage");
  if (usage == chunk.end() || !usage->is_object()) return;
  reply_.usage.input_tokens = count_in(*usage, "prompt_tokens");
  reply_.usage.output_tokens = count_in(*usage, "completion_tokens");
  if (const auto details = usage->find("prompt_tokens_details"); details != usage->end()) {
    reply_.usage.cached_tokens = count_in(*details, "cached_tokens");
  } else {
    reply_.usage.cached_tokens =
        count_in(*usage, "prompt_cache_hit_tokens");  // DeepSeek's own field
  }
}

Result<Reply> ChatReplyBuilder::finish() {
  if (!finished_) {
    return fail(ErrorCode::corrupt,
                "the endpoint's answer broke off before the model had finished");
  }
  for (auto& [index, call] : calls_) {
    if (call.name.empty()) {
      return fail(ErrorCode::corrupt, "the endpoint sent a tool call without a name");
    }
    reply_.tool_calls.push_back({std::move(call.id), std::move(call.name),
                                 call.arguments.empty() ? "{}" : std::move(call.arguments)});
  }
  // Some endpoints say "stop" although they sent calls.
  if (!reply_.tool_calls.empty() && reply_.finish == FinishReason::stop) {
    reply_.finish = FinishReason::tool_calls;
  }
  return std::move(reply_);
}

}  // namespace sable::agent
