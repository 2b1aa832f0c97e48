#include "tools/diff.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/shown_text.h"
#include "tools/tools.h"

namespace sable::tools {

namespace {

using Lines = std::span<const std::string_view>;
using Ids = std::vector<uint32_t>;

constexpr size_t kDiffLinesMax = 4'000;
constexpr size_t kDiffLineBytesMax = 2'000;
/// A diagonal that no script has reached: any step from it stays below zero.
constexpr int64_t kNowhere = INT64_MIN / 2;

/// Numbers equal lines equally, so that comparing is cheap.
void number_lines(Lines before, Lines after, Ids& a, Ids& b) {
  std::unordered_map<std::string_view, uint32_t> known;
  const auto number = [&](std::string_view line) {
    return known.emplace(line, static_cast<uint32_t>(known.size())).first->second;
  };
  for (const auto line : before) a.push_back(number(line));
  for (const auto line : after) b.push_back(number(line));
}

/// The shortest script between two texts without a common start or end, forward greedy with the
/// furthest points of every round kept. Returns false when more than `edits_max` edits are needed.
bool shortest_script(std::span<const uint32_t> a, std::span<const uint32_t> b, size_t edits_max,
                     std::vector<LineChange>& changes) {
  const auto n = static_cast<int64_t>(a.size()), m = static_cast<int64_t>(b.size());
  const int64_t limit = std::min<int64_t>(n + m, static_cast<int64_t>(edits_max));
  std::vector<std::vector<int64_t>>
      rounds;  // rounds[d][k + d]: furthest x on diagonal k with d edits
  const auto furthest = [&](int64_t d, int64_t k) {
    return k < -d || k > d ? kNowhere : rounds[static_cast<size_t>(d)][static_cast<size_t>(k + d)];
  };
  int64_t edits = -1;
  for (int64_t d = 0; d <= limit && edits < 0; ++d) {
    rounds.emplace_back(static_cast<size_t>(2 * d + 1), kNowhere);
    for (int64_t k = -d; k <= d; k += 2) {
      int64_t x = 0;
      if (d > 0) x = std::max(furthest(d - 1, k - 1) + 1, furthest(d - 1, k + 1));
      if (x < 0 || x > n || x - k > m) continue;
      while (x < n && x - k < m && a[static_cast<size_t>(x)] == b[static_cast<size_t>(x - k)]) ++x;
      rounds.back()[static_cast<size_t>(k + d)] = x;
      if (x == n && x - k == m) edits = d;
    }
  }
  if (edits < 0) return false;
  int64_t x = n, y = m;
  for (int64_t d = edits; d > 0; --d) {
    const int64_t k = x - y;
    const bool inserted = furthest(d - 1, k + 1) >= furthest(d - 1, k - 1) + 1;
    const int64_t from = inserted ? furthest(d - 1, k + 1) : furthest(d - 1, k - 1);
    x = from;
    y = from - (inserted ? k + 1 : k - 1);
    changes.push_back(
        {static_cast<size_t>(x), inserted ? 0u : 1u, static_cast<size_t>(y), inserted ? 1u : 0u});
  }
  std::reverse(changes.begin(), changes.end());
  return true;
}

/// Single-line edits that touch become one change.
std::vector<LineChange> merged(const std::vector<LineChange>& edits, size_t offset) {
  std::vector<LineChange> changes;
  for (LineChange edit : edits) {
    edit.before += offset;
    edit.after += offset;
    if (!changes.empty() && changes.back().before + changes.back().n_before == edit.before &&
        changes.back().after + changes.back().n_after == edit.after) {
      changes.back().n_before += edit.n_before;
      changes.back().n_after += edit.n_after;
    } else {
      changes.push_back(edit);
    }
  }
  return changes;
}

}  // namespace

std::vector<LineChange> diff_lines(Lines before, Lines after, size_t edits_max) {
  Ids a, b;
  number_lines(before, after, a, b);
  size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  size_t tail = 0;
  while (tail < a.size() - head && tail < b.size() - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
    ++tail;
  }
  const auto middle_a = std::span(a).subspan(head, a.size() - head - tail);
  const auto middle_b = std::span(b).subspan(head, b.size() - head - tail);
  if (middle_a.empty() && middle_b.empty()) return {};
  std::vector<LineChange> edits;
  if (!shortest_script(middle_a, middle_b, edits_max, edits)) {
    edits = {{0, middle_a.size(), 0, middle_b.size()}};
  }
  return merged(edits, head);
}

namespace {

/// A text's lines without their ends, and whether the last one has an end.
struct Text {
  std::vector<std::string_view> lines;
  bool ends_with_newline = true;
};

Text text_of(const std::optional<std::string>& content) {
  Text text;
  if (!content || content->empty()) return text;
  text.lines = split_lines(*content);
  text.ends_with_newline = content->back() == '\n';
  return text;
}

/// Whether every line ends in CR LF: then the CR is the file's habit and not worth showing.
bool has_only_crlf(const Text& text) {
  const size_t ended = text.lines.size() - (text.ends_with_newline || text.lines.empty() ? 0 : 1);
  return std::all_of(text.lines.begin(), text.lines.begin() + static_cast<ptrdiff_t>(ended),
                     [](std::string_view line) { return line.ends_with('\r'); });
}

/// Writes a bounded number of lines, each made safe to show.
class DiffWriter {
 public:
  explicit DiffWriter(bool hide_cr) : hide_cr_(hide_cr) {}

  void header(std::string_view line) { out_ += fmt::format("{}\n", line); }
  void line(char mark, const Text& text, size_t index) {
    if (++n_lines_ > kDiffLinesMax) return;
    std::string_view content = text.lines[index];
    if (hide_cr_ && content.ends_with('\r')) content.remove_suffix(1);
    out_ += fmt::format("{}{}\n", mark, shown_line(content, kDiffLineBytesMax));
    if (index + 1 == text.lines.size() && !text.ends_with_newline) {
      out_ += "\\ No newline at end of file\n";
    }
  }
  bool full() const { return n_lines_ > kDiffLinesMax; }
  std::string take() {
    if (full()) out_ += fmt::format("[... diff cut after {} lines]\n", kDiffLinesMax);
    return std::move(out_);
  }

 private:
  bool hide_cr_;
  size_t n_lines_ = 0;
  std::string out_;
};

struct Range {
  size_t begin, count;
};

/// "12,3": numbered from 1, except that an empty range names the line before it.
std::string range_text(Range range) {
  if (range.count == 1) return fmt::format("{}", range.begin + 1);
  return fmt::format("{},{}", range.count == 0 ? range.begin : range.begin + 1, range.count);
}

}  // namespace

std::string unified_diff(const FileChange& change, size_t context) {
  if (change.before == change.after) return {};
  const Text before = text_of(change.before), after = text_of(change.after);
  // A missing final newline must show as a difference, so the last lines then differ by a mark.
  std::vector<std::string_view> a = before.lines, b = after.lines;
  std::string last_a, last_b;
  if (!before.ends_with_newline) a.back() = last_a = std::string(a.back()) + "\n";
  if (!after.ends_with_newline) b.back() = last_b = std::string(b.back()) + "\n";
  const auto changes = diff_lines(a, b);

  DiffWriter out(has_only_crlf(before) && has_only_crlf(after));
  const std::string name = shown_path(change.path);
  out.header(change.before ? "--- a/" + name : std::string("--- /dev/null"));
  out.header(change.after ? "+++ b/" + name : std::string("+++ /dev/null"));
  for (size_t first = 0; first < changes.size() && !out.full();) {
    size_t last = first;  // changes whose context meets share a hunk
    while (last + 1 < changes.size() &&
           changes[last + 1].before - (changes[last].before + changes[last].n_before) <=
               2 * context) {
      ++last;
    }
    const size_t lead = std::min(context, changes[first].before);
    const size_t end_a = changes[last].before + changes[last].n_before;
    const size_t end_b = changes[last].after + changes[last].n_after;
    const size_t trail = std::min(context, a.size() - end_a);
    const Range old_range{changes[first].before - lead, 0},
        new_range{changes[first].after - lead, 0};
    out.header(fmt::format("@@ -{} +{} @@",
                           range_text({old_range.begin, end_a + trail - old_range.begin}),
                           range_text({new_range.begin, end_b + trail - new_range.begin})));
    size_t at = old_range.begin;
    for (size_t i = first; i <= last; ++i) {
      for (; at < changes[i].before; ++at) out.line(' ', before, at);
      for (size_t j = 0; j < changes[i].n_before; ++j) out.line('-', before, changes[i].before + j);
      for (size_t j = 0; j < changes[i].n_after; ++j) out.line('+', after, changes[i].after + j);
      at += changes[i].n_before;
    }
    for (; at < end_a + trail; ++at) out.line(' ', before, at);
    first = last + 1;
  }
  return out.take();
}

}  // namespace sable::tools
