// The head of a request to a proxy: understood in one way only, or refused.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sandbox/host_name.h"

namespace sable::sandbox {

inline constexpr size_t kRequestHeadMax = size_t{16} << 10;

struct ProxyRequest {
  bool tunnel = false;  ///< CONNECT
  Authority to;         ///< with a port
  std::string head;     ///< what is sent on, up to the empty line; empty for a tunnel
};

/// `head` ends with the empty line. CONNECT HOST:PORT, or any other method with an absolute http
/// URL, HTTP/1.0 or 1.1. Headers that are a proxy's are taken out, `Host` is set from the URL, and
/// the connection serves one request. invalid_input: anything else, bare line feeds and control
/// bytes included.
Result<ProxyRequest> parse_proxy_request(std::string_view head);

}  // namespace sable::sandbox
