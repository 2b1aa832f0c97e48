#include "sandbox/host_name.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>

#include "base/text.h"

namespace sable::sandbox {

namespace {

constexpr uint16_t kDefaultPort = 443;

tl::unexpected<Error> no_host(std::string_view text) {
  return fail(ErrorCode::invalid_input,
              "\"" + escape_controls(text.substr(0, 300)) + "\" is no name of a host");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_label_byte(char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'; }

// One that a library may take for a number, or a part of an address.
bool looks_numeric(std::string_view label) {
  const bool hexadecimal = label.size() > 1 && label[0] == '0' && label[1] == 'x';
  return hexadecimal || std::all_of(label.begin(), label.end(), is_digit);
}

Result<uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) {
    return fail(ErrorCode::invalid_input,
                "\"" + escape_controls(text.substr(0, 20)) + "\" is no port");
  }
  return static_cast<uint16_t>(port);
}

}  // namespace

Result<std::string> canonical_host(std::string_view text) {
  if (text.find(':') != std::string_view::npos) {
    in6_addr address{};
    char canonical[INET6_ADDRSTRLEN] = {};
    if (text.find('\0') != std::string_view::npos || text.size() >= sizeof canonical ||
        ::inet_pton(AF_INET6, std::string(text).c_str(), &address) != 1 ||
        ::inet_ntop(AF_INET6, &address, canonical, sizeof canonical) == nullptr) {
      return no_host(text);
    }
    return std::string(canonical);
  }
  std::string host(text);
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (!host.empty() && host.back() == '.') host.pop_back();
  if (host.empty() || host.size() > 253) return no_host(text);
  std::string_view last;
  for (size_t begin = 0; begin <= host.size();) {
    const size_t end = std::min(host.find('.', begin), host.size());
    last = std::string_view(host).substr(begin, end - begin);
    if (last.empty() || last.size() > 63 || last.front() == '-' || last.back() == '-' ||
        !std::all_of(last.begin(), last.end(), is_label_byte)) {
      return no_host(text);
    }
    begin = end + 1;
  }
  in_addr address{};
  if (looks_numeric(last) && ::inet_pton(AF_INET, host.c_str(), &address) != 1) {
    return no_host(text);
  }
  return host;
}

Result<Authority> parse_authority(std::string_view text) {
  Authority authority;
  std::string_view host = text, port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || text.find(':') > close) return no_host(text);
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') return no_host(text);
    if (!port.empty()) port.remove_prefix(1);
    if (port.empty() && text.back() == ':') return no_host(text);
  } else if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return no_host(text);
  }
  SABLE_TRY(authority.host, canonical_host(host));
  if (!port.empty()) {
    SABLE_TRY(authority.port, parse_port(port));
  }
  return authority;
}

Result<AllowedHost> parse_allowed_host(std::string_view text) {
  constexpr std::string_view kPrivate = "/private", kBelow = "*.";
  AllowedHost rule;
  if (text.size() > kPrivate.size() && text.substr(text.size() - kPrivate.size()) == kPrivate) {
    rule.private_addresses = true;
    text.remove_suffix(kPrivate.size());
  }
  const bool below = text.substr(0, kBelow.size()) == kBelow;
  if (below) text.remove_prefix(kBelow.size());
  SABLE_TRY(Authority authority, parse_authority(text));
  rule.name = (below ? std::string(kBelow) : std::string()) + authority.host;
  rule.port = authority.port == 0 ? kDefaultPort : authority.port;
  return rule;
}

const AllowedHost* rule_for(const std::vector<AllowedHost>& rules, const Authority& authority) {
  for (const auto& rule : rules) {
    if (rule.port != authority.port) continue;
    if (rule.name == authority.host) return &rule;
    if (rule.name.compare(0, 2, "*.") != 0) continue;
    const std::string_view suffix = std::string_view(rule.name).substr(1);
    const std::string_view host = authority.host;
    if (host.size() > suffix.size() && host.substr(host.size() - suffix.size()) == suffix)
      return &rule;
  }
  return nullptr;
}

}  // namespace sable::sandbox
