#include "sandbox/proxy_request.h"

#include <algorithm>

#include "base/text.h"

namespace sable::sandbox {

namespace {

tl::unexpected<Error> bad(const char* what) {
  return fail(ErrorCode::invalid_input, std::string("not a request to a proxy: ") + what);
}

bool is_token_byte(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_byte);
}

bool is_value_byte(char c) { return static_cast<unsigned char>(c) >= 0x20 || c == '\t'; }

// A proxy's own, or decided by it.
bool is_taken_out(std::string_view name) {
  for (const auto own : {"Host", "Connection", "Proxy-Connection", "Proxy-Authorization",
                         "Proxy-Authenticate", "Keep-Alive", "Upgrade", "TE"}) {
    if (equal_ignoring_case(name, own)) return true;
  }
  return false;
}

std::string text_of(const Authority& to, uint16_t usual_port) {
  std::string text = to.host.find(':') == std::string::npos ? to.host : "[" + to.host + "]";
  if (to.port != usual_port) text += ":" + std::to_string(to.port);
  return text;
}

// "http://HOST[:PORT]PATH" becomes authority and path.
Result<Authority> split_url(std::string_view url, std::string& path) {
  constexpr std::string_view kScheme = "http://";
  if (url.size() <= kScheme.size() ||
      !equal_ignoring_case(url.substr(0, kScheme.size()), kScheme)) {
    return bad("the URL must begin with http://");
  }
  url.remove_prefix(kScheme.size());
  const size_t end = std::min(url.find_first_of("/?#"), url.size());
  SABLE_TRY(Authority to, parse_authority(url.substr(0, end)));
  if (to.port == 0) to.port = 80;
  path = std::string(url.substr(end));
  if (path.empty() || path.front() != '/') path.insert(0, "/");
  return to;
}

}  // namespace

Result<ProxyRequest> parse_proxy_request(std::string_view head) {
  if (head.size() > kRequestHeadMax) return bad("its head is too long");
  const size_t line_end = head.find("\r\n");
  if (line_end == std::string_view::npos) return bad("no line");
  const std::string_view line = head.substr(0, line_end);
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return bad("its first line");
  const std::string_view method = line.substr(0, first), version = line.substr(last + 1);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const bool target_is_plain = std::all_of(target.begin(), target.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
  });
  if (!is_token(method) || !target_is_plain) return bad("its first line");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return bad("its version");

  ProxyRequest request;
  request.tunnel = method == "CONNECT";
  std::string path;
  if (request.tunnel) {
    SABLE_TRY(request.to, parse_authority(target));
    if (request.to.port == 0) return bad("CONNECT needs a port");
  } else {
    SABLE_TRY(request.to, split_url(target, path));
  }
  std::string kept;
  for (size_t at = line_end + 2;;) {
    const size_t end = head.find("\r\n", at);
    if (end == std::string_view::npos) return bad("its head does not end");
    const std::string_view header = head.substr(at, end - at);
    at = end + 2;
    if (header.empty()) {
      if (at != head.size()) return bad("bytes after its head");
      break;
    }
    const size_t colon = header.find(':');
    if (colon == std::string_view::npos || !is_token(header.substr(0, colon)) ||
        !std::all_of(header.begin(), header.end(), is_value_byte)) {
      return bad("a header");
    }
    if (!is_taken_out(header.substr(0, colon))) kept += std::string(header) + "\r\n";
  }
  if (!request.tunnel) {
    request.head = std::string(method) + " " + path + " " + std::string(version) +
                   "\r\nHost: " + text_of(request.to, 80) + "\r\n" + kept +
                   "Connection: close\r\n\r\n";
  }
  return request;
}

}  // namespace sable::sandbox
