#include "runtime/server/json_rpc.h"

#include "base/text.h"

namespace sable::runtime {

namespace {

constexpr size_t kIdBytesMax = 256;

bool is_id(const Json& id) {
  if (id.is_string()) return id.get_ref<const std::string&>().size() <= kIdBytesMax;
  return id.is_number_integer();
}

tl::unexpected<RpcRefusal> refuse(const Json& id, RpcCode code, std::string message) {
  return tl::unexpected<RpcRefusal>(RpcRefusal{id, {code, std::move(message), nullptr}});
}

}  // namespace

tl::expected<RpcMessage, RpcRefusal> parse_rpc(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed) return refuse(nullptr, RpcCode::parse_error, parsed.error().message);
  Json& json = *parsed;
  if (json.is_array()) {
    return refuse(nullptr, RpcCode::invalid_request, "batches are not used: send one object");
  }
  if (!json.is_object()) {
    return refuse(nullptr, RpcCode::invalid_request, "a message must be an object");
  }
  const bool has_id = json.contains("id");
  const Json id = has_id && is_id(json["id"]) ? json["id"] : Json();
  if (string_or(json, "jsonrpc", "") != "2.0") {
    return refuse(id, RpcCode::invalid_request, "\"jsonrpc\" must be \"2.0\"");
  }
  RpcMessage message{.id = id};
  if (!json.contains("method")) {
    const bool has_result = json.contains("result");
    if (has_result == json.contains("error")) {
      return refuse(id, RpcCode::invalid_request, "neither a method, nor one of result and error");
    }
    message.kind = has_result ? RpcMessage::Kind::result : RpcMessage::Kind::error;
    if (has_result) message.result = std::move(json["result"]);
    return message;
  }
  if (has_id && id.is_null()) {
    return refuse(nullptr, RpcCode::invalid_request,
                  "\"id\" must be a string of at most 256 bytes or an integer");
  }
  if (!json["method"].is_string()) {
    return refuse(id, RpcCode::invalid_request, "\"method\" must be a string");
  }
  message.kind = has_id ? RpcMessage::Kind::request : RpcMessage::Kind::notification;
  message.method = json["method"].get<std::string>();
  if (json.contains("params")) {
    if (!json["params"].is_object()) {
      return refuse(id, RpcCode::invalid_params, "\"params\" must be an object");
    }
    message.params = std::move(json["params"]);
  }
  return message;
}

std::string rpc_request(const Json& id, std::string_view method, Json params) {
  return dump_json(
      {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}});
}

std::string rpc_notification(std::string_view method, Json params) {
  return dump_json({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
}

std::string rpc_result(const Json& id, Json result) {
  return dump_json({{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}});
}

std::string rpc_error(const Json& id, const RpcError& error) {
  Json body{{"code", static_cast<int>(error.code)}, {"message", to_utf8(error.message)}};
  if (!error.data.is_null()) body["data"] = error.data;
  return dump_json({{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(body)}});
}

}  // namespace sable::runtime
