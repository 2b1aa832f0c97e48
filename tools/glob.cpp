#include "tools/glob.h"

#include <algorithm>

namespace sable::tools {

Glob::Glob(std::string_view pattern) {
  for (size_t at = 0; at < pattern.size();) {
    const char c = pattern[at];
    const bool starts_part = at == 0 || pattern[at - 1] == '/';
    if (c == '*' && starts_part && pattern.substr(at).starts_with("**/")) {
      tokens_.push_back({.kind = Kind::folders});
      tokens_.push_back({.kind = Kind::in_folder});
      at += 3;
    } else if (c == '*' && starts_part && pattern.substr(at) == "**") {
      tokens_.push_back({.kind = Kind::anything});
      at += 2;
    } else if (c == '*') {
      tokens_.push_back({.kind = Kind::star});
      while (at < pattern.size() && pattern[at] == '*') ++at;
    } else if (c == '?') {
      tokens_.push_back({.kind = Kind::any_byte});
      ++at;
    } else if (c == '[' && pattern.find(']', at + 2) != std::string_view::npos) {
      add_class(pattern, at);
    } else {
      if (c == '\\' && at + 1 < pattern.size()) ++at;
      tokens_.push_back({.kind = Kind::byte, .byte = pattern[at]});
      ++at;
    }
  }
}

void Glob::add_class(std::string_view pattern, size_t& at) {
  Token token{.kind = Kind::byte_class};
  size_t i = at + 1;
  if (pattern[i] == '!' || pattern[i] == '^') {
    token.negated = true;
    ++i;
  }
  const auto byte = [&](size_t index) { return static_cast<unsigned char>(pattern[index]); };
  for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
    if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
      token.ranges.emplace_back(byte(i), byte(i + 2));
      i += 3;
    } else {
      token.ranges.emplace_back(byte(i), byte(i));
      ++i;
    }
  }
  at = i + 1;
  tokens_.push_back(std::move(token));
}

/// Adds a state and those that are reached from it without reading a byte.
void Glob::enter(States& states, size_t state) const {
  while (states[state] == 0) {
    states[state] = 1;
    if (state == tokens_.size()) return;
    const Kind kind = tokens_[state].kind;
    if (kind == Kind::star || kind == Kind::anything) {
      ++state;
    } else if (kind == Kind::folders) {
      state += 2;
    } else {
      return;
    }
  }
}

bool Glob::matches(std::string_view path) const {
  States now(tokens_.size() + 1, 0);
  enter(now, 0);
  for (const char c : path) {
    States next(tokens_.size() + 1, 0);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (now[i] == 0) continue;
      const Token& token = tokens_[i];
      switch (token.kind) {
        case Kind::byte:
          if (c == token.byte) enter(next, i + 1);
          break;
        case Kind::any_byte:
          if (c != '/') enter(next, i + 1);
          break;
        case Kind::byte_class: {
          const auto byte = static_cast<unsigned char>(c);
          const bool inside =
              std::any_of(token.ranges.begin(), token.ranges.end(),
                          [&](auto range) { return byte >= range.first && byte <= range.second; });
          if (c != '/' && inside != token.negated) enter(next, i + 1);
          break;
        }
        case Kind::star:
          if (c != '/') enter(next, i);
          break;
        case Kind::anything:
          enter(next, i);
          break;
        case Kind::folders:
          next[i + 1] = 1;
          if (c == '/') enter(next, i + 2);
          break;
        case Kind::in_folder:
          next[i] = 1;
          if (c == '/') enter(next, i + 1);
          break;
      }
    }
    now = std::move(next);
  }
  return now[tokens_.size()] != 0;
}

}  // namespace sable::tools
