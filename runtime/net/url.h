// An http or https URL, taken apart strictly: what is unclear is refused, never guessed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::runtime {

struct Url {
  bool tls = false;  ///< https
  std::string host;  ///< lower case; an IPv6 literal without its brackets
  bool ipv6_literal = false;
  uint16_t port = 0;   ///< never 0 after parsing
  std::string target;  ///< path and query, begins with '/', fit for a request line

  /// HOST or HOST:PORT as the Host header wants it: brackets kept, the scheme's own port left out.
  std::string host_header() const;
};

/// Parses SCHEME://HOST[:PORT][/PATH][?QUERY] (RFC 3986), at most 8192 bytes. Refused with
/// invalid_input: other schemes, user information, a fragment, an empty or odd host, IPv6 zones,
/// ports outside 1..65535, and any byte that is not printable ASCII (write such bytes %-encoded).
Result<Url> parse_url(std::string_view text);

}  // namespace sable::runtime
