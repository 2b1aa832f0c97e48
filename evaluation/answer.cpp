#include "evaluation/answer.h"

#include <algorithm>
#include <cctype>
#include <regex>

#include "base/text.h"

namespace sable::evaluation {

namespace {

constexpr size_t kAnswerBytesMax = 20'000;  // std::regex recurses

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

struct PathMention {
  size_t begin = 0, end = 0;
  const std::string* path = nullptr;
};

/// Known paths in the text, none inside another.
std::vector<PathMention> paths_in(std::string_view text, const std::vector<std::string>& paths) {
  std::vector<PathMention> found;
  for (const std::string& path : paths) {
    for (size_t at = 0; (at = text.find(path, at)) != std::string_view::npos; ++at) {
      size_t begin = at;
      if (begin >= 2 && text.substr(begin - 2, 2) == "./") begin -= 2;
      const size_t end = at + path.size();
      const char before = begin == 0 ? ' ' : text[begin - 1];
      const char after = end == text.size() ? ' ' : text[end];
      const bool goes_on = is_name(after) || after == '/' || after == '-' ||
                           (after == '.' && end + 1 < text.size() && is_name(text[end + 1]));
      if (is_name(before) || before == '/' || before == '-' || before == '.' || goes_on) continue;
      found.push_back({begin, end, &path});
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  return found;
}

size_t number_at(std::string_view text, size_t& at) {
  size_t value = 0;
  while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) != 0) {
    value = std::min(value * 10 + static_cast<size_t>(text[at++] - '0'), size_t{1} << 40);
  }
  return value;
}

struct LineMention {
  size_t begin = 0, end = 0;
  std::vector<size_t> lines;
};

/// ":3" and "#L3" right behind a path, "line 3", "lines 3, 5 and 9".
std::vector<LineMention> lines_in(std::string_view text, const std::vector<PathMention>& paths) {
  std::vector<LineMention> found;
  for (const PathMention& path : paths) {
    size_t at = path.end;
    while (at < text.size() && std::string_view("`*\"'").find(text[at]) != std::string_view::npos) {
      ++at;
    }
    for (const std::string_view sign : {":", "#L"}) {
      size_t digits = at + sign.size();
      if (text.substr(at, sign.size()) != sign || digits >= text.size() ||
          std::isdigit(static_cast<unsigned char>(text[digits])) == 0) {
        continue;
      }
      const size_t line = number_at(text, digits);
      found.push_back({path.end, digits, {line}});
    }
  }
  static const std::regex kLines(R"(\b[Ll]ines? ([0-9]+(?:(?:, | and |, and | & )[0-9]+)*))");
  const std::string copy(text);
  for (std::sregex_iterator it(copy.begin(), copy.end(), kLines), end; it != end; ++it) {
    LineMention mention{static_cast<size_t>(it->position(0)),
                        static_cast<size_t>(it->position(0) + it->length(0)),
                        {}};
    const std::string list = (*it)[1];
    for (size_t at = 0; at < list.size();) {
      if (std::isdigit(static_cast<unsigned char>(list[at])) == 0) {
        ++at;
      } else {
        mention.lines.push_back(number_at(list, at));
      }
    }
    found.push_back(std::move(mention));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  return found;
}

/// The file that lines belong to: the one of "line 3 of FILE", else the last one named before, else
/// the first.
const PathMention* owner_of(const LineMention& lines, std::string_view text,
                            const std::vector<PathMention>& paths) {
  const PathMention* before = nullptr;
  for (const PathMention& path : paths) {
    if (path.end <= lines.begin) before = &path;
    if (path.begin < lines.end || path.begin > lines.end + 6) continue;
    const std::string_view between = text.substr(lines.end, path.begin - lines.end);
    if (between.starts_with(" of ") || between.starts_with(" in ")) return &path;
  }
  return before != nullptr || paths.empty() ? before : &paths.front();
}

struct FoundPlace {
  size_t begin = 0, end = 0;
  StatedPlace place;
};

std::vector<FoundPlace> find_places(std::string_view answer,
                                    const std::vector<std::string>& paths) {
  answer = answer.substr(0, kAnswerBytesMax);
  const auto mentions = paths_in(answer, paths);
  std::vector<FoundPlace> found;
  for (const LineMention& lines : lines_in(answer, mentions)) {
    const PathMention* const owner = owner_of(lines, answer, mentions);
    if (owner == nullptr) continue;
    for (const size_t line : lines.lines) {
      found.push_back({std::min(owner->begin, lines.begin), lines.end, {*owner->path, line}});
    }
  }
  return found;
}

std::string lower(std::string_view text) {
  std::string out(text.substr(0, kAnswerBytesMax));
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  // A typographic apostrophe is one.
  for (size_t at; (at = out.find("\xe2\x80\x99")) != std::string::npos;) out.replace(at, 3, "'");
  return out;
}

/// Blanks instead of `code`, so that places in the text stay where they are.
std::string without_code(std::string text) {
  for (size_t at = 0; (at = text.find('`', at)) != std::string::npos;) {
    const size_t end = text.find('`', at + 1);
    if (end == std::string::npos) break;
    std::fill(text.begin() + static_cast<std::ptrdiff_t>(at),
              text.begin() + static_cast<std::ptrdiff_t>(end + 1), ' ');
    at = end + 1;
  }
  return text;
}

bool has(const std::string& text, const char* pattern) {
  return std::regex_search(text, std::regex(pattern));
}

}  // namespace

std::vector<StatedPlace> places_in(std::string_view answer, const std::vector<std::string>& paths) {
  std::vector<StatedPlace> places;
  for (FoundPlace& found : find_places(answer, paths)) places.push_back(std::move(found.place));
  return places;
}

size_t first_place(std::string_view answer, const std::vector<std::string>& paths) {
  const auto found = find_places(answer, paths);
  return found.empty() ? std::string_view::npos : found.front().begin;
}

std::vector<int64_t> numbers_in(std::string_view answer, const std::vector<std::string>& paths) {
  std::string text = lower(answer);
  for (const FoundPlace& found : find_places(answer, paths)) {
    // lower() shortens apostrophes only; what is too far behind is simply not blanked.
    for (size_t at = found.begin; at < std::min(found.end, text.size()); ++at) text[at] = ' ';
  }
  text = without_code(std::move(text));
  std::vector<int64_t> numbers;
  for (size_t at = 0; at < text.size();) {
    if (std::isdigit(static_cast<unsigned char>(text[at])) == 0) {
      ++at;
    } else if (at > 0 && is_name(text[at - 1])) {
      number_at(text, at);  // part of a name
    } else {
      const auto value = static_cast<int64_t>(number_at(text, at));
      if (at == text.size() || !is_name(text[at])) numbers.push_back(value);
    }
  }
  if (!numbers.empty()) return numbers;
  static constexpr const char* kNumbers[] = {"zero", "one",    "two",   "three", "four",
                                             "five", "six",    "seven", "eight", "nine",
                                             "ten",  "eleven", "twelve"};
  for (size_t n = 0; n < std::size(kNumbers); ++n) {
    if (mentions(text, kNumbers[n])) numbers.push_back(static_cast<int64_t>(n));
  }
  if (numbers.empty() && denial(answer) != std::string_view::npos) numbers.push_back(0);
  return numbers;
}

std::optional<int64_t> exit_code_in(std::string_view answer) {
  const std::string text = without_code(lower(answer));
  static const std::regex kCode(
      R"(\b(?:exit(?:s|ed)?|return(?:s|ed)?|status|code)(?: with)?(?: an?)?(?: exit)?(?: code| status)?(?: of| is| was|:)? ?([0-9]+)\b)");
  std::smatch match;
  if (std::regex_search(text, match, kCode)) return std::stoll(match[1].str().substr(0, 9));
  const bool failed = has(text, R"(\b(fail(s|ed|ure)?|error|not succeed|unsuccessful)\b)");
  if (!failed && has(text, R"(\b(succeed(s|ed)?|success(fully)?|pass(es|ed)?|works)\b)")) return 0;
  return std::nullopt;
}

size_t denial(std::string_view answer) {
  static const std::regex kNo(
      R"(\b(no|not|nothing|nowhere|none|never|nobody|cannot|without)\b|n't\b|\b0 )");
  const std::string text = without_code(lower(answer));
  std::smatch match;
  if (!std::regex_search(text, match, kNo)) return std::string_view::npos;
  return static_cast<size_t>(match.position(0));
}

bool says_already(std::string_view answer) {
  return has(without_code(lower(answer)),
             R"(\balready\b|\bnothing\b|\bno change|\bunchanged\b|\bnot? changed?\b)");
}

bool refuses(std::string_view answer) {
  return has(without_code(lower(answer)),
             R"(\b(cannot|can not|could not|unable|not able|will not|outside|beyond|sorry)\b|)"
             R"(\b(can|won|couldn|don|doesn|isn|am)'t\b|\b(do|does|is|am|are) not\b)");
}

std::vector<StatedName> listed_names(std::string_view answer) {
  static const std::regex kItem(
      R"(^\s*(?:[-*]|[0-9]+[.)])\s+[`*"']*([A-Za-z_][A-Za-z0-9_]*)(.*)$)");
  static const std::regex kLine(R"(\bline ([0-9]{1,9}))");
  std::vector<StatedName> names;
  for (const std::string_view line : split_lines(answer.substr(0, kAnswerBytesMax))) {
    const std::string text(line.substr(0, 500));
    std::smatch item, number;
    if (!std::regex_match(text, item, kItem)) continue;
    const std::string rest = item[2];
    const bool numbered = std::regex_search(rest, number, kLine);
    names.push_back({item[1], numbered ? std::stoul(number[1]) : 0});
  }
  return names;
}

bool mentions(std::string_view text, std::string_view name) {
  for (size_t at = 0; (at = text.find(name, at)) != std::string_view::npos; ++at) {
    const size_t end = at + name.size();
    const bool begins = at == 0 || !is_name(text[at - 1]);
    if (begins && (end == text.size() || !is_name(text[end]))) return true;
  }
  return false;
}

}  // namespace sable::evaluation
