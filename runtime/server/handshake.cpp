#include "runtime/server/handshake.h"

#include <algorithm>
#include <charconv>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include "base/asio.h"
#include "base/text.h"
#include "runtime/server/token_file.h"

namespace sable::runtime {

namespace {

constexpr std::string_view kSubprotocol = "sable.v1";
constexpr std::string_view kTokenPrefix = "bearer.";

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool is_port(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number <= 65535;
}

/// The name in a Host header, without its port; empty when it is malformed.
std::string host_name(std::string_view host) {
  if (host.starts_with('[')) {
    const auto close = host.find(']');
    if (close == std::string_view::npos) return {};
    const auto after = host.substr(close + 1);
    if (!after.empty() && (after.front() != ':' || !is_port(after.substr(1)))) return {};
    return lower(host.substr(0, close + 1));
  }
  const auto colon = host.find(':');
  if (colon != std::string_view::npos && !is_port(host.substr(colon + 1))) return {};
  return lower(host.substr(0, colon));
}

bool is_loopback(const std::string& name) {
  if (name == "localhost" || name == "[::1]") return true;
  boost::system::error_code error;
  const auto address = asio::ip::make_address_v4(name, error);
  return !error && address.is_loopback();
}

bool host_allowed(std::string_view host, const AccessRules& rules) {
  const auto name = host_name(host);
  if (name.empty()) return false;
  return is_loopback(name) ||
         std::any_of(rules.allowed_hosts.begin(), rules.allowed_hosts.end(),
                     [&](const std::string& allowed) { return lower(allowed) == name; });
}

bool token_shown(const RequestFacts& request, const AccessRules& rules) {
  // The scheme's name is case-insensitive (RFC 9110, section 11.1).
  constexpr std::string_view kScheme = "bearer ";
  if (lower(request.authorization.substr(0, kScheme.size())) == kScheme) {
    return same_secret(std::string_view(request.authorization).substr(kScheme.size()), rules.token);
  }
  for (const std::string& offered : request.subprotocols) {
    if (offered.starts_with(kTokenPrefix)) {
      return same_secret(std::string_view(offered).substr(kTokenPrefix.size()), rules.token);
    }
  }
  return false;
}

}  // namespace

Verdict decide(const RequestFacts& request, const AccessRules& rules) {
  if (!host_allowed(request.host, rules)) return {403, "this Host is not served here"};
  if (request.path != "/acp" && request.path != "/healthz") {
    return {404, "no such path; the WebSocket is at /acp"};
  }
  if (request.method != "GET") return {405, "only GET is answered here"};
  if (request.origin && std::find(rules.allowed_origins.begin(), rules.allowed_origins.end(),
                                  *request.origin) == rules.allowed_origins.end()) {
    return {403, "this Origin is not allowed"};
  }
  if (request.path == "/healthz") return {200, ""};
  if (!token_shown(request, rules)) {
    return {401, "show the token: Authorization: Bearer TOKEN, or the subprotocol bearer.TOKEN"};
  }
  if (!request.is_upgrade || request.websocket_version != "13") {
    return {426, "this path speaks WebSocket, version 13"};
  }
  const bool offers = std::find(request.subprotocols.begin(), request.subprotocols.end(),
                                kSubprotocol) != request.subprotocols.end();
  return {101, "", offers ? std::string(kSubprotocol) : ""};
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::invalid_input, fmt::format("cannot listen on \"{}\": {}; write it as "
                                                      "127.0.0.1:8080 or [::1]:8080",
                                                      escape_controls(text.substr(0, 200)), why));
  };
  ListenAddress result;
  std::string_view address = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return refuse("the bracket is not closed");
    address = text.substr(1, close - 1);
    const auto rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return refuse("unexpected text after the bracket");
    port = rest.empty() ? rest : rest.substr(1);
    if (!rest.empty() && port.empty()) return refuse("the port is missing");
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return refuse("the port is missing");
  }
  if (!port.empty()) {
    if (!is_port(port)) return refuse("the port must be a number up to 65535");
    std::from_chars(port.data(), port.data() + port.size(), result.port);
  }
  if (!address.empty()) {
    result.address = address == "localhost" ? "127.0.0.1" : std::string(address);
    boost::system::error_code error;
    asio::ip::make_address(result.address, error);
    if (error) return refuse("not an IP address");
  }
  return result;
}

}  // namespace sable::runtime
