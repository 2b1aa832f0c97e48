// Who may speak to the server, decided from the request's head alone, before anything is upgraded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sable::runtime {

struct AccessRules {
  std::string token;                         ///< never empty
  std::vector<std::string> allowed_hosts;    ///< names besides the loopback ones; any port
  std::vector<std::string> allowed_origins;  ///< exact: "https://app.example:8443"
};

/// What counts of a request.
struct RequestFacts {
  std::string method, path;  ///< path without its query
  std::string host;          ///< header Host; empty if absent or given twice
  std::optional<std::string> origin;
  std::string authorization;
  std::vector<std::string> subprotocols;  ///< of Sec-WebSocket-Protocol
  bool is_upgrade = false;                ///< asks for a WebSocket
  std::string websocket_version;
};

struct Verdict {
  int status = 101;         ///< 101: upgrade; else an answer
  std::string message;      ///< for the JSON body
  std::string subprotocol;  ///< of a 101: to be echoed; empty for none
};

/// The order is Host, path, Origin, token, upgrade. A wrong Host is 403 (stops DNS rebinding), a
/// foreign Origin 403, a missing or wrong token 401, GET /healthz 200, an unknown path 404, another
/// method 405, /acp without an upgrade to version 13 426.
Verdict decide(const RequestFacts& request, const AccessRules& rules);

/// "ADDR:PORT", "[::1]:PORT", ":PORT" (loopback) or "ADDR" (any port).
struct ListenAddress {
  std::string address = "127.0.0.1";
  uint16_t port = 0;
};
Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace sable::runtime
