#include "runtime/server/acp_messages.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "runtime/server/session_updates.h"

namespace sable::runtime {

namespace {

constexpr std::string_view kChoicePrefix = "choice_";

}  // namespace

tl::unexpected<RpcError> rpc_fail(RpcCode code, std::string message) {
  return tl::unexpected<RpcError>(RpcError{code, std::move(message), nullptr});
}

RpcError rpc_error_from(const Error& error) {
  RpcError result{RpcCode::internal_error, error.message, {{"code", name_of(error.code)}}};
  if (error.code == ErrorCode::not_found) result.code = RpcCode::not_found;
  if (error.code == ErrorCode::invalid_input) result.code = RpcCode::invalid_params;
  return result;
}

Json initialize_result(std::string_view program_version) {
  return {{"protocolVersion", 1},
          {"agentInfo", {{"name", "sable"}, {"title", "Sable"}, {"version", program_version}}},
          {"authMethods", Json::array()},
          {"agentCapabilities",
           {{"loadSession", true},
            {"promptCapabilities", {{"image", false}, {"audio", false}, {"embeddedContext", true}}},
            {"mcpCapabilities", {{"http", false}, {"sse", false}}},
            {"sessionCapabilities", {{"list", Json::object()}, {"resume", Json::object()}}},
            {"_meta", {{"sable", {{"events", 1}}}}}}}};
}

tl::expected<std::filesystem::path, RpcError> cwd_from(const Json& params) {
  const auto cwd = string_or(params, "cwd", "");
  if (cwd.empty() || cwd.front() != '/' || cwd.find('\0') != std::string::npos) {
    return rpc_fail(RpcCode::invalid_params, "\"cwd\" must be an absolute path");
  }
  if (params.contains("additionalDirectories") &&
      params["additionalDirectories"] != Json::array()) {
    return rpc_fail(RpcCode::invalid_params, "\"additionalDirectories\" is not supported");
  }
  return std::filesystem::path(cwd).lexically_normal();
}

tl::expected<std::string, RpcError> session_id_from(const Json& params) {
  auto id = string_or(params, "sessionId", "");
  if (id.empty()) return rpc_fail(RpcCode::invalid_params, "\"sessionId\" must be a string");
  return id;
}

tl::expected<std::string, RpcError> prompt_text(const Json& params) {
  if (!params.contains("prompt") || !params["prompt"].is_array()) {
    return rpc_fail(RpcCode::invalid_params, "\"prompt\" must be a list of content blocks");
  }
  std::string text;
  const auto append = [&text](const std::string& part) {
    if (!text.empty() && !part.empty()) text += "\n\n";
    text += part;
  };
  for (const auto& block : params["prompt"]) {
    const auto type = string_or(block, "type", "");
    if (type == "text") {
      append(string_or(block, "text", ""));
    } else if (type == "resource_link") {
      append(fmt::format("[{}]({})", string_or(block, "name", ""), string_or(block, "uri", "")));
    } else if (type == "resource" && block.contains("resource") && block["resource"].is_object() &&
               block["resource"].contains("text")) {
      append(fmt::format("{}:\n\n{}", string_or(block["resource"], "uri", ""),
                         string_or(block["resource"], "text", "")));
    } else {
      return rpc_fail(RpcCode::invalid_params,
                      fmt::format("content of type \"{}\" is not supported; send text", type));
    }
  }
  if (text.empty()) return rpc_fail(RpcCode::invalid_params, "the prompt is empty");
  return text;
}

RpcResult prompt_result(const Result<agent::TurnResult>& turn) {
  if (!turn) return tl::unexpected<RpcError>(rpc_error_from(turn.error()));
  const Json facts{{"status", turn->status},
                   {"reason", turn->reason},
                   {"usage",
                    {{"input_tokens", turn->usage.input_tokens},
                     {"cached_tokens", turn->usage.cached_tokens},
                     {"output_tokens", turn->usage.output_tokens}}},
                   {"files_changed", turn->files_changed},
                   {"wall_ms", turn->wall.count()}};
  const char* stop_reason = nullptr;
  if (turn->status == "finished") stop_reason = "end_turn";
  if (turn->status == "interrupted") stop_reason = "cancelled";
  if (turn->status == "limit") stop_reason = "max_turn_requests";
  if (stop_reason == nullptr) {
    return tl::unexpected<RpcError>(
        RpcError{RpcCode::internal_error, turn->reason, {{"sable", facts}}});
  }
  return Json{{"stopReason", stop_reason}, {"_meta", {{"sable", facts}}}};
}

Json permission_params(const agent::PermissionRequest& request) {
  const auto& name = request.call.name;
  const auto option = [](const char* id, std::string label) {
    return Json{{"optionId", id}, {"name", std::move(label)}, {"kind", id}};
  };
  return {
      {"sessionId", request.session},
      {"toolCall",
       {{"toolCallId", request.call.id},
        {"title", tool_title(name, request.call.arguments)},
        {"kind", tool_kind(name)},
        {"status", "pending"},
        {"rawInput", request.call.arguments}}},
      {"options",
       Json::array({option("allow_once", "Allow once"),
                    option("allow_always", fmt::format("Allow {} for this session", name)),
                    option("reject_once", "Refuse"),
                    option("reject_always", fmt::format("Refuse {} for this session", name))})}};
}

Json question_params(const agent::UserQuestion& asked) {
  Json options = Json::array();
  for (size_t i = 0; i < asked.question.choices.size(); ++i) {
    options.push_back({{"optionId", fmt::format("{}{}", kChoicePrefix, i + 1)},
                       {"name", asked.question.choices[i]},
                       {"kind", "allow_once"}});
  }
  options.push_back({{"optionId", "no_answer"}, {"name", "No answer"}, {"kind", "reject_once"}});
  Json call{{"toolCallId", asked.call_id},
            {"title", asked.question.text},
            {"kind", "other"},
            {"status", "pending"}};
  if (const auto& diff = asked.question.diff; !diff.empty()) {
    call["content"] = Json::array({diff_content(diff)});
  }
  return {
      {"sessionId", asked.session}, {"toolCall", std::move(call)}, {"options", std::move(options)}};
}

std::optional<PersonsAnswer> permission_answer(const Json& result) {
  if (!result.is_object() || !result.contains("outcome")) return {};
  const Json& outcome = result["outcome"];
  if (string_or(outcome, "outcome", "") != "selected") return {};
  const auto option = string_or(outcome, "optionId", "");
  if (option == "allow_once") return PermissionAnswer::allow_once;
  if (option == "allow_always") return PermissionAnswer::allow_session;
  if (option == "reject_once") return PermissionAnswer::reject_once;
  if (option == "reject_always") return PermissionAnswer::reject_always;
  if (!option.starts_with(kChoicePrefix)) return {};
  const std::string_view digits = std::string_view(option).substr(kChoicePrefix.size());
  size_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || number == 0) {
    return {};
  }
  return number - 1;
}

void add_opt_outs(Json& object, const std::vector<std::string>& opt_outs) {
  if (!opt_outs.empty()) object["_meta"]["sable"]["opt_outs"] = opt_outs;
}

Json session_row(const memory::SessionInfo& info) {
  return {{"sessionId", info.id},
          {"cwd", info.working_directory.string()},
          {"title", info.title},
          {"updatedAt", to_rfc3339(info.updated)},
          {"_meta",
           {{"sable",
             {{"status", info.status},
              {"agent", info.agent},
              {"model", info.model},
              {"n_events", info.n_events}}}}}};
}

}  // namespace sable::runtime
