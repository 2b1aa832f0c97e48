#include "tools/uri.h"

#include <optional>
#include <vector>

namespace sable::tools {

namespace {

/// The five parts of RFC 3986, section 3; the views point into the text.
struct Uri {
  std::string_view scheme, path;
  std::optional<std::string_view> authority, query, fragment;
};

std::optional<std::string_view> cut_after(std::string_view& text, char mark) {
  const size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(at + 1);
  text = text.substr(0, at);
  return rest;
}

Uri parse(std::string_view text) {
  Uri uri;
  uri.fragment = cut_after(text, '#');
  uri.query = cut_after(text, '?');
  const size_t colon = text.find(':');
  const size_t slash = text.find('/');
  if (colon != std::string_view::npos && colon > 0 &&
      (slash == std::string_view::npos || colon < slash)) {
    uri.scheme = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  if (text.starts_with("//")) {
    const size_t end = text.find('/', 2);
    uri.authority = text.substr(2, end == std::string_view::npos ? end : end - 2);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end);
  }
  uri.path = text;
  return uri;
}

/// RFC 3986, section 5.2.4, on path parts.
std::string without_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  const bool absolute = path.starts_with('/');
  if (absolute) path.remove_prefix(1);
  bool more = true, ends_in_folder = false;
  while (more) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    more = slash != std::string_view::npos;
    if (more) path.remove_prefix(slash + 1);
    ends_in_folder = part == "." || part == "..";
    if (part == ".." && !kept.empty()) kept.pop_back();
    if (!ends_in_folder) kept.push_back(part);
  }
  std::string result = absolute ? "/" : "";
  for (size_t i = 0; i < kept.size(); ++i) {
    if (i > 0) result += '/';
    result += kept[i];
  }
  if (ends_in_folder && !result.ends_with('/')) result += '/';
  return result;
}

}  // namespace

std::string resolve_uri(std::string_view base_text, std::string_view reference_text) {
  const Uri base = parse(base_text), reference = parse(reference_text);
  std::string_view scheme = reference.scheme;
  std::optional<std::string_view> authority = reference.authority, query = reference.query;
  std::string path(reference.path);
  if (scheme.empty()) {
    scheme = base.scheme;
    if (!authority) {
      authority = base.authority;
      if (path.empty()) {
        path = base.path;
        if (!query) query = base.query;
      } else if (!path.starts_with('/')) {
        const size_t slash = base.path.rfind('/');
        if (slash != std::string_view::npos) path.insert(0, base.path.substr(0, slash + 1));
        if (slash == std::string_view::npos && base.authority) path.insert(0, "/");
        path = without_dots(path);
      }
    }
  }
  std::string result;
  if (!scheme.empty()) result.append(scheme).append(":");
  if (authority) result.append("//").append(*authority);
  result += path;
  if (query) result.append("?").append(*query);
  if (reference.fragment) result.append("#").append(*reference.fragment);
  return result;
}

std::string percent_decoded(std::string_view text) {
  const auto value = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && value(text[i + 1]) >= 0 &&
        value(text[i + 2]) >= 0) {
      result += static_cast<char>(value(text[i + 1]) * 16 + value(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace sable::tools
