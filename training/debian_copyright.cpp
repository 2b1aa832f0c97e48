#include "training/debian_copyright.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace sable::training {

namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

/// "*" matches anything, "/" too; "?" one character; "\" takes the next as it is.
bool matches(std::string_view pattern, std::string_view path) {
  // The last star and what it has swallowed so far: enough, because stars match everything.
  size_t p = 0, at = 0, star = std::string_view::npos, resumed = 0;
  while (at < path.size()) {
    const bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resumed = at;
    } else if (p < pattern.size() && (escaped ? pattern[p + 1] == path[at]
                                              : pattern[p] == '?' || pattern[p] == path[at])) {
      p += escaped ? 2 : 1;
      ++at;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      at = ++resumed;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_learnable_word(const std::string& licence) {
  static constexpr std::string_view kExact[] = {
      "expat",        "mit",           "bsd",           "bsd-2-clause", "bsd-3-clause",
      "bsd-4-clause", "bsd-2-clauses", "bsd-3-clauses", "apache-2.0",   "zlib",
      "psf",          "psf-2",         "psf-2.0",       "python-2.0",   "public-domain"};
  return std::find(std::begin(kExact), std::end(kExact), licence) != std::end(kExact);
}

}  // namespace

Result<DebianCopyright> DebianCopyright::parse(std::string_view text) {
  DebianCopyright copyright;
  Paragraph paragraph;
  std::string field;
  bool has_format = false;
  const auto close = [&] {
    if (!paragraph.patterns.empty()) copyright.paragraphs_.push_back(std::move(paragraph));
    paragraph = {};
    field.clear();
  };
  for (const std::string_view line : split_lines(text)) {
    if (trimmed(line).empty()) {
      close();
      continue;
    }
    const bool goes_on = line.front() == ' ' || line.front() == '\t';
    std::string_view value = line;
    if (!goes_on) {
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos) {
        return fail(ErrorCode::invalid_input, "debian/copyright is not machine-readable");
      }
      field = lower(line.substr(0, colon));
      value = line.substr(colon + 1);
    }
    if (field == "format") {
      has_format = has_format || value.find("copyright-format/1.0") != std::string_view::npos;
    } else if (field == "files") {
      for (std::string& word : words_of(value)) paragraph.patterns.push_back(std::move(word));
    } else if (field == "license" && !goes_on) {
      paragraph.licence = trimmed(value);
    }
  }
  close();
  if (!has_format) {
    return fail(ErrorCode::invalid_input, "debian/copyright is not machine-readable");
  }
  return copyright;
}

std::string DebianCopyright::licence_of(std::string_view path) const {
  for (auto paragraph = paragraphs_.rbegin(); paragraph != paragraphs_.rend(); ++paragraph) {
    const bool any =
        std::any_of(paragraph->patterns.begin(), paragraph->patterns.end(),
                    [&](const std::string& pattern) { return matches(pattern, path); });
    if (any) return paragraph->licence;
  }
  return {};
}

bool may_be_learned(std::string_view licence) {
  // Words joined by "and" and "or"; commas as in "A or B, and C" make it a matter for people.
  const auto words = words_of(lower(licence));
  if (words.size() % 2 == 0) return false;
  bool any = false, all = true;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i % 2 == 0) {
      all = all && is_learnable_word(words[i]);
    } else if (words[i] == "or") {
      any = any || all;
      all = true;
    } else if (words[i] != "and") {
      return false;
    }
  }
  return any || all;
}

}  // namespace sable::training
