#include "runtime/config/text_checks.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "sandbox/sandbox.h"

namespace sable::runtime::config {

namespace {

tl::unexpected<Error> expected(std::string_view what) {
  return fail(ErrorCode::invalid_input, fmt::format("expected {}", what));
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

bool has_space_or_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c == ' ' || is_control(c); });
}

/// What follows the scheme of an http(s) URL; empty when it is none.
std::string_view after_scheme(std::string_view url) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (url.substr(0, scheme.size()) == scheme) return url.substr(scheme.size());
  }
  return {};
}

}  // namespace

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '-';
  });
}

bool is_variable_name(std::string_view text) {
  return !text.empty() && text.size() <= 256 && !is_digit(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

Result<void> check_word(std::string_view text) {
  if (is_word(text)) return {};
  return expected("a name of 1 to 64 letters, digits, \"_\" and \"-\"");
}

Result<void> check_line(std::string_view text) {
  if (text.size() <= 4096 && std::none_of(text.begin(), text.end(), is_control)) return {};
  return expected("one line of text");
}

Result<void> check_variable_value(std::string_view text) {
  if (text.size() <= 65536 && text.find('\0') == std::string_view::npos) return {};
  return expected("at most 65536 bytes without a zero byte");
}

Result<void> check_variable_name(std::string_view text) {
  // Keys of most services have a "-" or are long; a name is neither. Who wrote the key itself must
  // not find it in a log.
  if (text.empty() || (is_variable_name(text) && text.size() <= 100)) return {};
  return expected(
      "the name of the environment variable that holds the key, such as DEEPSEEK_API_KEY; "
      "a key itself does not belong into a file");
}

Result<void> check_base_url(std::string_view text) {
  const auto rest = after_scheme(text);
  const auto authority = rest.substr(0, rest.find('/'));
  if (authority.find('@') != std::string_view::npos) {
    return expected("a URL without user name and password; api_key_env names the key's variable");
  }
  if (authority.empty() || has_space_or_control(text) || text.find_first_of("?#") != text.npos) {
    return expected("a URL such as https://api.deepseek.com/v1, without \"?\" and \"#\"");
  }
  if (text.find("/chat/completions") != text.npos) {
    return expected("the URL without /chat/completions, which is added to it");
  }
  return {};
}

Result<void> check_path(std::string_view text) {
  if (text.empty() || text.size() > 4096 || std::any_of(text.begin(), text.end(), is_control)) {
    return expected("a path without control characters");
  }
  while (!text.empty()) {
    const auto slash = text.find('/');
    if (text.substr(0, slash) == "..") return expected("a path without \"..\"");
    if (slash == std::string_view::npos) break;
    text.remove_prefix(slash + 1);
  }
  return {};
}

Result<void> check_absolute(std::string_view text) {
  if (text.substr(0, 1) != "/" && text != "~" && text.substr(0, 2) != "~/") {
    return expected("an absolute path, or one that begins with \"~/\"");
  }
  return check_path(text);
}

Result<void> check_absolute_or_none(std::string_view text) {
  if (text.empty()) return {};
  return check_absolute(text);
}

Result<void> check_listen(std::string_view text) {
  const auto refuse = [] {
    return expected("ADDRESS:PORT such as 127.0.0.1:7433 or [::1]:7433; port 0 picks a free one");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || has_space_or_control(text)) return refuse();
  const auto address = text.substr(0, colon);
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (!bracketed && address.find_first_of(":[]") != std::string_view::npos) return refuse();
  const auto port = text.substr(colon + 1);
  unsigned number = 0;
  const auto [rest, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || rest != port.data() + port.size() || number > 65535) return refuse();
  return {};
}

Result<void> check_origin(std::string_view text) {
  const auto authority = after_scheme(text);
  if (authority.empty() || authority.find_first_of("/?#@*") != authority.npos ||
      has_space_or_control(text)) {
    return expected("an origin such as https://example.org, without a path");
  }
  return {};
}

Result<void> check_host(std::string_view text) {
  if (text.empty() || text.size() > 255 || has_space_or_control(text) ||
      text.find_first_of("/?#@*") != text.npos) {
    return expected("a host name such as sable.example.org, with a port or without");
  }
  return {};
}

Result<void> check_allowed_host(std::string_view text) {
  if (sandbox::parse_allowed_host(text)) return {};
  return expected(
      "a host such as example.org, *.example.org:8443 or 10.0.0.7:5000/private, without a scheme "
      "and a path");
}

}  // namespace sable::runtime::config
