// JSON-RPC 2.0 messages, one object each: foreign text in, our text out.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "base/json.h"

namespace sable::runtime {

/// Codes of the JSON-RPC 2.0 specification, section 5.1, and of the Agent Client Protocol.
enum class RpcCode {
  parse_error = -32700,
  invalid_request = -32600,
  method_not_found = -32601,
  invalid_params = -32602,
  internal_error = -32603,
  overloaded = -32000,  ///< too many requests in flight
  not_found = -32002,   ///< no such session
};

struct RpcError {
  RpcCode code = RpcCode::internal_error;
  std::string message;
  Json data;  ///< null: left out
};

struct RpcMessage {
  enum class Kind { request, notification, result, error };
  Kind kind = Kind::notification;
  Json id;             ///< string or integer; null for a notification
  std::string method;  ///< of a request or notification
  Json params = Json::object();
  Json result;  ///< of a result
};

/// Why a text is no message, and the id under which to say so (null when it could not be told).
struct RpcRefusal {
  Json id;
  RpcError error;
};

/// Reads one message. Refused: what is not one JSON object (an array too: batches are not used),
/// another "jsonrpc" than "2.0", an id that is no string (at most 256 bytes) or integer, params
/// that are no object.
tl::expected<RpcMessage, RpcRefusal> parse_rpc(std::string_view text);

std::string rpc_request(const Json& id, std::string_view method, Json params);
std::string rpc_notification(std::string_view method, Json params);
std::string rpc_result(const Json& id, Json result);
std::string rpc_error(const Json& id, const RpcError& error);

}  // namespace sable::runtime
