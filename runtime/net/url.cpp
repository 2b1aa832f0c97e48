#include "runtime/net/url.h"

#include <algorithm>
#include <charconv>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include "base/asio.h"
#include "base/text.h"

namespace sable::runtime {

namespace {

constexpr size_t kUrlBytesMax = 8192;
constexpr size_t kHostBytesMax = 253;  // RFC 1035, section 2.3.4, in text form

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

tl::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  // With user information it holds a secret; then, or when it is long, it is not repeated.
  const bool showable = text.size() <= 200 && text.find('@') == std::string_view::npos;
  return fail(ErrorCode::invalid_input,
              fmt::format("invalid URL \"{}\": {}", showable ? escape_controls(text) : "...", why));
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > kHostBytesMax) return false;
  size_t label = 0;
  for (size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    if (c == '.') {
      if (label == 0 || host[i - 1] == '-') return false;
      label = 0;
      continue;
    }
    if (!is_alnum(c) && c != '-' && c != '_') return false;
    if (c == '-' && label == 0) return false;
    if (++label > 63) return false;
  }
  return host.back() != '-';  // one trailing dot names the root and is allowed
}

/// A host whose last label is a number must be a dotted IPv4 address: "127.1" and "0x7f.1" are read
/// differently by different resolvers.
bool is_odd_number(std::string_view host) {
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  const auto dot = host.rfind('.');
  const auto last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  const bool digits =
      std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
  const bool hex = last.size() >= 2 && last[0] == '0' && (last[1] == 'x' || last[1] == 'X');
  if (!digits && !hex) return false;
  boost::system::error_code error;
  asio::ip::make_address_v4(std::string(host), error);
  return static_cast<bool>(error);
}

}  // namespace

std::string Url::host_header() const {
  std::string text = ipv6_literal ? "[" + host + "]" : host;
  if (port != (tls ? 443 : 80)) text += fmt::format(":{}", port);
  return text;
}

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kUrlBytesMax) {
    return refuse(text, fmt::format("longer than {} bytes", kUrlBytesMax));
  }
  for (const char c : text) {
    if (c <= ' ' || c > '~') {
      return refuse(text, "spaces, control characters and non-ASCII bytes must be %-encoded");
    }
  }
  const std::string_view whole = text;
  Url url;
  const auto slashes = text.find("://");
  const std::string scheme = lower(text.substr(0, slashes == std::string_view::npos ? 0 : slashes));
  if (scheme != "http" && scheme != "https") {
    return refuse(text, "it must begin with http:// or https://");
  }
  url.tls = scheme == "https";
  url.port = url.tls ? 443 : 80;
  text.remove_prefix(slashes + 3);
  if (text.find('#') != std::string_view::npos)
    return refuse(whole, "a fragment has no place here");
  const auto authority_end = text.find_first_of("/?");
  std::string_view authority = text.substr(0, authority_end);
  std::string_view rest =
      authority_end == std::string_view::npos ? std::string_view() : text.substr(authority_end);
  if (authority.find('@') != std::string_view::npos) {
    return refuse(whole,
                  "user information before the host is refused; name the key's environment "
                  "variable in the configuration instead");
  }

  std::string_view port;
  bool has_port = false;
  if (!authority.empty() && authority.front() == '[') {
    const auto close = authority.find(']');
    if (close == std::string_view::npos)
      return refuse(whole, "the bracket of the IPv6 address is not closed");
    url.host = lower(authority.substr(1, close - 1));
    url.ipv6_literal = true;
    boost::system::error_code error;
    if (url.host.find('%') != std::string::npos)
      return refuse(whole, "IPv6 zones are not supported");
    asio::ip::make_address_v6(url.host, error);
    if (error) return refuse(whole, "not an IPv6 address between the brackets");
    authority.remove_prefix(close + 1);
    if (!authority.empty()) {
      if (authority.front() != ':') return refuse(whole, "unexpected text after the IPv6 address");
      port = authority.substr(1);
      has_port = true;
    }
  } else {
    const auto colon = authority.find(':');
    has_port = colon != std::string_view::npos;
    url.host = lower(authority.substr(0, colon));
    if (has_port) port = authority.substr(colon + 1);
    if (!is_host_name(url.host) || is_odd_number(url.host)) {
      return refuse(whole, "the host is not a valid name or address");
    }
  }
  if (has_port) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535) {
      return refuse(whole, "the port must be a number from 1 to 65535");
    }
    url.port = static_cast<uint16_t>(number);
  }

  for (size_t i = 0; i < rest.size(); ++i) {
    constexpr std::string_view kRefused = "\"<>\\^`{|}";
    if (kRefused.find(rest[i]) != std::string_view::npos) {
      return refuse(whole, fmt::format("the character {} must be %-encoded", rest[i]));
    }
    if (rest[i] == '%' && (i + 2 >= rest.size() || !is_hex(rest[i + 1]) || !is_hex(rest[i + 2]))) {
      return refuse(whole, "% must be followed by two hexadecimal digits");
    }
  }
  url.target = rest.empty() || rest.front() == '?' ? "/" + std::string(rest) : std::string(rest);
  return url;
}

}  // namespace sable::runtime
