#include "memory/log_search.h"

#include <algorithm>

#include "base/text.h"
#include "memory/schema.h"

namespace sable::memory {

namespace {

constexpr size_t kTextMax = 1000;     // bytes that may be asked for
constexpr size_t kExcerptSide = 100;  // bytes shown before and behind them

/// One line around `text` in the first string of `value` that holds it; empty if none does.
std::string excerpt_of(const Json& value, std::string_view text) {
  if (const auto* words = value.get_ptr<const std::string*>()) {
    const size_t at = find_ignoring_case(*words, text);
    if (at == std::string::npos) return {};
    size_t begin = at < kExcerptSide ? 0 : at - kExcerptSide;
    while (begin < at && (static_cast<unsigned char>((*words)[begin]) & 0xC0U) == 0x80) ++begin;
    const auto cut =
        std::string_view(*words).substr(begin, at - begin + text.size() + kExcerptSide);
    std::string line(cut.substr(0, utf8_prefix(cut, cut.size())));
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
    return line;
  }
  if (!value.is_structured()) return {};
  for (const Json& part : value) {
    if (auto found = excerpt_of(part, text); !found.empty()) return found;
  }
  return {};
}

/// A pattern of LIKE for JSON text that holds `text` in a string.
std::string pattern_of(std::string_view text) {
  const std::string quoted = dump_json(Json(std::string(text)));
  std::string pattern = "%";
  for (const char c : std::string_view(quoted).substr(1, quoted.size() - 2)) {
    if (c == '%' || c == '_' || c == '^') pattern += '^';
    pattern += c;
  }
  return pattern + "%";
}

}  // namespace

Result<std::vector<SearchHit>> search_events(LogDatabase& database, std::string_view text,
                                             size_t n_max) {
  if (text.empty() || text.size() > kTextMax) {
    return fail(ErrorCode::invalid_input,
                "what to search for has 1 to " + std::to_string(kTextMax) + " bytes");
  }
  SABLE_TRY(auto* select,
            database.statement("SELECT s.id, v.title, e.key, e.time, e.type, e.data FROM event e "
                               "JOIN session s ON s.number = e.key >> 40 AND s.complete = 1 "
                               "JOIN session_view v ON v.session = s.number "
                               "WHERE e.data LIKE ? ESCAPE '^' ORDER BY e.time DESC, e.key DESC"));
  const std::string pattern = pattern_of(text);
  Run run(*select);
  run.bind(pattern);
  std::vector<SearchHit> hits;
  while (hits.size() < n_max) {
    SABLE_TRY(const bool row, run.next());
    if (!row) break;
    const auto data = parse_json(run.text(5));
    if (!data) continue;  // damage is for those who read the session
    auto excerpt = excerpt_of(*data, text);
    if (excerpt.empty()) continue;  // in a key
    hits.push_back({.session = std::string(run.text(0)),
                    .title = std::string(run.text(1)),
                    .seq = static_cast<Seq>(run.integer(2) & kSeqMask),
                    .time = WallTime(std::chrono::milliseconds(run.integer(3))),
                    .type = std::string(run.text(4)),
                    .excerpt = std::move(excerpt)});
  }
  return hits;
}

}  // namespace sable::memory
