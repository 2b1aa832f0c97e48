#include "tools/indentation.h"

#include <vector>

#include "base/text.h"

namespace sable::tools {

namespace {

std::string_view indentation_of(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  return line.substr(0, first == std::string_view::npos ? line.size() : first);
}

bool is_blank(std::string_view line) { return indentation_of(line).size() == line.size(); }

bool is_only(std::string_view text, char c) {
  return text.find_first_not_of(c) == std::string_view::npos;
}

}  // namespace

std::optional<std::string> IndentationRule::indentation_for(std::string_view from) const {
  switch (kind_) {
    case Kind::add:
      return prefix_ + std::string(from);
    case Kind::remove:
      if (!from.starts_with(prefix_)) return std::nullopt;
      return std::string(from.substr(prefix_.size()));
    case Kind::spaces_to_tabs:
      if (!is_only(from, ' ')) return std::nullopt;
      return std::string(from.size() / width_, '\t') + std::string(from.size() % width_, ' ');
    case Kind::tabs_to_spaces:
      if (!is_only(from, '\t')) return std::nullopt;
      return std::string(from.size() * width_, ' ');
  }
  return std::nullopt;
}

bool IndentationRule::explains(std::string_view from, std::string_view to) const {
  const auto made = indentation_for(indentation_of(from));
  return made && *made == indentation_of(to);
}

std::optional<IndentationRule> IndentationRule::between(std::span<const std::string_view> from,
                                                        std::span<const std::string_view> to) {
  std::vector<IndentationRule> rules;
  for (size_t i = 0; i < from.size(); ++i) {
    if (is_blank(from[i])) continue;
    const std::string_view a = indentation_of(from[i]), b = indentation_of(to[i]);
    IndentationRule rule;
    if (b.ends_with(a)) {
      rule.prefix_ = b.substr(0, b.size() - a.size());
      rules.push_back(rule);
    }
    if (a.size() > b.size() && a.ends_with(b)) {
      rule.kind_ = Kind::remove;
      rule.prefix_ = a.substr(0, a.size() - b.size());
      rules.push_back(rule);
    }
    break;  // the first line with words proposes how it shifts; all lines must agree below
  }
  for (const size_t width : {2, 4, 8, 3}) {
    IndentationRule rule;
    rule.width_ = width;
    rule.kind_ = Kind::spaces_to_tabs;
    rules.push_back(rule);
    rule.kind_ = Kind::tabs_to_spaces;
    rules.push_back(rule);
  }
  for (const auto& rule : rules) {
    bool holds = true;
    for (size_t i = 0; i < from.size() && holds; ++i) {
      holds = is_blank(from[i]) || rule.explains(from[i], to[i]);
    }
    if (holds) return rule;
  }
  return std::nullopt;
}

std::optional<std::string> IndentationRule::apply(std::string_view text) const {
  std::string result;
  for (const std::string_view line : split_lines(text)) {
    if (is_blank(line)) {
      result += line;
    } else {
      const std::string_view old = indentation_of(line);
      const auto made = indentation_for(old);
      if (!made) return std::nullopt;
      result += *made;
      result += line.substr(old.size());
    }
    result += '\n';
  }
  if (!text.ends_with('\n') && !result.empty()) result.pop_back();
  return result;
}

}  // namespace sable::tools
