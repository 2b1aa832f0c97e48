#include "tools/edit_match.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string.h>

#include "base/text.h"
#include "tools/indentation.h"
#include "tools/white_space.h"

namespace sable::tools {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kAmbiguousPlacesMax = 1'000;
/// Line comparisons after which a tolerant search gives up: texts of equal lines would need their
/// square.
constexpr size_t kComparisonsMax = 20'000'000;

/// Offsets of `wanted`. To replace them all they must not overlap; to tell whether there is only
/// one, overlapping ones count.
std::vector<size_t> occurrences(std::string_view text, std::string_view wanted, bool replace_all) {
  std::vector<size_t> found;
  if (wanted.empty()) return found;
  const size_t step = replace_all ? wanted.size() : 1;
  size_t from = 0;
  while (from <= text.size() && (replace_all || found.size() < kAmbiguousPlacesMax)) {
    // memmem(3) stays linear on repetitive text, std::string_view::find does not.
    const void* at = ::memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
    if (at == nullptr) break;
    found.push_back(static_cast<size_t>(static_cast<const char*>(at) - text.data()));
    from = found.back() + step;
  }
  return found;
}

/// Of names in most languages; bytes of other alphabets count as letters.
bool is_name_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || c == '_' || std::isalnum(byte) != 0;
}

/// Whether text[begin, end) is a part of a longer name.
bool is_in_longer_name(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && is_name_character(text[begin - 1])) ||
         (end < text.size() && is_name_character(text[end]));
}

EditPlan plan_places(std::string_view text, std::vector<size_t> places, const Edit& edit) {
  EditPlan plan;
  if (places.empty()) return plan;
  if (places.size() > 1 && !edit.replace_all) {
    plan.kind = EditPlan::Kind::ambiguous;
    plan.places = places;
    return plan;
  }
  plan.kind = EditPlan::Kind::found;
  if (edit.replace_all &&
      std::all_of(edit.old_text.begin(), edit.old_text.end(), is_name_character)) {
    const auto inside = std::stable_partition(places.begin(), places.end(), [&](size_t at) {
      return !is_in_longer_name(text, at, at + edit.old_text.size());
    });
    plan.places.assign(inside, places.end());
    places.erase(inside, places.end());
    if (places.empty()) {
      plan.kind = EditPlan::Kind::ambiguous;
      return plan;
    }
  }
  for (const size_t at : places) {
    plan.replacements.push_back({at, at + edit.old_text.size(), edit.new_text});
  }
  return plan;
}

/// The file's last line has no newline but old_text's last line has one.
std::optional<Edit> without_final_newline(std::string_view text, const Edit& edit) {
  if (!edit.old_text.ends_with('\n') || text.ends_with('\n')) return std::nullopt;
  Edit shorter = edit;
  shorter.old_text.pop_back();
  if (shorter.old_text.empty() || !text.ends_with(shorter.old_text)) return std::nullopt;
  if (shorter.new_text.ends_with('\n')) shorter.new_text.pop_back();
  return shorter;
}

/// `text` without "  12<tab>" before each line, or nothing when a line lacks it.
std::optional<std::string> without_line_numbers(std::string_view text) {
  std::string stripped;
  for (const std::string_view line : split_lines(text)) {
    size_t at = line.find_first_not_of(' ');
    const size_t digits = at;
    if (at == std::string_view::npos) return std::nullopt;
    while (at < line.size() && line[at] >= '0' && line[at] <= '9') ++at;
    if (at == digits || at == line.size() || line[at] != '\t') return std::nullopt;
    stripped += line.substr(at + 1);
    stripped += '\n';
  }
  if (!text.ends_with('\n') && !stripped.empty()) stripped.pop_back();
  return stripped;
}

std::optional<Edit> without_line_numbers(const Edit& edit) {
  auto old_text = without_line_numbers(std::string_view(edit.old_text));
  if (!old_text || old_text->empty()) return std::nullopt;
  auto new_text = without_line_numbers(std::string_view(edit.new_text));
  return Edit{std::move(*old_text), std::move(new_text).value_or(edit.new_text), edit.replace_all};
}

/// Lines of the file whose transformed form equals that of old_text's lines, by first line index.
template <class Form>
std::vector<size_t> matching_windows(const std::vector<std::string_view>& file,
                                     const std::vector<std::string_view>& wanted, Form form) {
  std::vector<size_t> found;
  if (wanted.empty() || file.size() < wanted.size()) return found;
  const bool all_blank = std::all_of(wanted.begin(), wanted.end(),
                                     [](std::string_view line) { return trimmed(line).empty(); });
  if (all_blank) return found;
  size_t n_compared = 0;
  for (size_t at = 0; at + wanted.size() <= file.size(); ++at) {
    size_t i = 0;
    while (i < wanted.size() && form(file[at + i]) == form(wanted[i])) ++i;
    if (i == wanted.size()) found.push_back(at);
    n_compared += i + 1;
    if (n_compared > kComparisonsMax) return {};
  }
  return found;
}

/// Offsets of a window of whole lines, the newline after it included when old_text has one.
Replacement window_range(std::string_view text, const std::vector<std::string_view>& lines,
                         size_t first, size_t count, bool with_newline) {
  const auto begin = static_cast<size_t>(lines[first].data() - text.data());
  const std::string_view last = lines[first + count - 1];
  size_t end = static_cast<size_t>(last.data() - text.data()) + last.size();
  if (with_newline && end < text.size()) ++end;
  return {begin, end, {}};
}

EditPlan plan_windows(std::string_view text, const std::vector<std::string_view>& lines,
                      const std::vector<size_t>& windows) {
  EditPlan plan{.kind = EditPlan::Kind::ambiguous};
  for (const size_t window : windows) {
    plan.places.push_back(static_cast<size_t>(lines[window].data() - text.data()));
  }
  return plan;
}

EditPlan plan_line_ends(std::string_view text, const std::vector<std::string_view>& lines,
                        const std::vector<std::string_view>& wanted, const Edit& edit) {
  const auto windows = matching_windows(lines, wanted, trimmed_end);
  if (windows.empty()) return {};
  if (windows.size() > 1) return plan_windows(text, lines, windows);
  EditPlan plan{.kind = EditPlan::Kind::found, .tolerated = "white space at line ends"};
  Replacement place =
      window_range(text, lines, windows[0], wanted.size(), edit.old_text.ends_with('\n'));
  place.text = edit.new_text;
  plan.replacements.push_back(std::move(place));
  return plan;
}

EditPlan plan_indentation(std::string_view text, const std::vector<std::string_view>& lines,
                          const std::vector<std::string_view>& wanted, const Edit& edit) {
  const auto windows = matching_windows(lines, wanted, trimmed);
  if (windows.empty()) return {};
  if (windows.size() > 1) return plan_windows(text, lines, windows);
  const std::span<const std::string_view> found(lines.data() + windows[0], wanted.size());
  const auto rule = IndentationRule::between(wanted, found);
  auto new_text = rule ? rule->apply(edit.new_text) : std::nullopt;
  if (!new_text) {
    return {.reason =
                "the same words stand there with an indentation that differs from line to line"};
  }
  EditPlan plan{.kind = EditPlan::Kind::found, .tolerated = "indentation"};
  Replacement place =
      window_range(text, lines, windows[0], wanted.size(), edit.old_text.ends_with('\n'));
  place.text = std::move(*new_text);
  plan.replacements.push_back(std::move(place));
  return plan;
}

}  // namespace

EditableText::EditableText(std::string_view bytes) {
  if (bytes.starts_with(kByteOrderMark)) {
    mark_bytes_ = kByteOrderMark.size();
    bytes.remove_prefix(mark_bytes_);
  }
  text_.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n') {
      crlf_.push_back(text_.size());
      continue;
    }
    n_newlines_ += bytes[i] == '\n' ? 1 : 0;
    text_ += bytes[i];
  }
}

size_t EditableText::in_bytes(size_t offset) const {
  const auto before = std::lower_bound(crlf_.begin(), crlf_.end(), offset) - crlf_.begin();
  return mark_bytes_ + offset + static_cast<size_t>(before);
}

bool EditableText::has_crlf(size_t begin, size_t end) const {
  const auto n_here = std::count(text_.begin() + static_cast<ptrdiff_t>(begin),
                                 text_.begin() + static_cast<ptrdiff_t>(end), '\n');
  if (n_here == 0) return 2 * crlf_.size() > n_newlines_;
  const auto n_crlf = std::lower_bound(crlf_.begin(), crlf_.end(), end) -
                      std::lower_bound(crlf_.begin(), crlf_.end(), begin);
  return 2 * n_crlf > n_here;
}

EditPlan plan_edit(const EditableText& file, const Edit& edit) {
  const std::string_view text = file.text();
  if (EditPlan plan = plan_places(text, occurrences(text, edit.old_text, edit.replace_all), edit);
      plan.kind != EditPlan::Kind::missing) {
    return plan;
  }
  if (const auto shorter = without_final_newline(text, edit)) {
    EditPlan plan{.kind = EditPlan::Kind::found, .tolerated = "the newline at the end of the file"};
    plan.replacements.push_back(
        {text.size() - shorter->old_text.size(), text.size(), shorter->new_text});
    return plan;
  }
  if (const auto bare = without_line_numbers(edit)) {
    EditPlan plan = plan_places(text, occurrences(text, bare->old_text, bare->replace_all), *bare);
    plan.tolerated = "line numbers in old_text";
    if (plan.kind != EditPlan::Kind::missing) return plan;
  }
  const auto lines = split_lines(text);
  const auto wanted = split_lines(edit.old_text);
  if (EditPlan plan = plan_line_ends(text, lines, wanted, edit);
      plan.kind != EditPlan::Kind::missing) {
    return plan;
  }
  return plan_indentation(text, lines, wanted, edit);
}

std::string apply_edit(std::string_view bytes, const EditableText& file, const EditPlan& plan) {
  std::string result;
  size_t done = 0;
  for (const auto& replacement : plan.replacements) {
    const size_t begin = file.in_bytes(replacement.begin);
    result += bytes.substr(done, begin - done);
    const bool crlf = file.has_crlf(replacement.begin, replacement.end);
    for (const char c : replacement.text) {
      if (crlf && c == '\n') result += '\r';
      result += c;
    }
    done = file.in_bytes(replacement.end);
  }
  result += bytes.substr(done);
  return result;
}

namespace {

constexpr size_t kComparedPairsMax = 400'000;

/// How alike two lines are, 0 to 1, by what their beginnings share at both ends.
double likeness(std::string_view a, std::string_view b) {
  a = trimmed(a).substr(0, 256);
  b = trimmed(b).substr(0, 256);
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 0.25 : 0;
  const size_t shorter = std::min(a.size(), b.size());
  size_t head = 0, tail = 0;
  while (head < shorter && a[head] == b[head]) ++head;
  while (tail < shorter - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  const double share =
      static_cast<double>(head + tail) / static_cast<double>(std::max(a.size(), b.size()));
  return share < 0.5 ? 0 : share;
}

}  // namespace

LineRange nearest_lines(std::string_view text, std::string_view old_text) {
  const auto lines = split_lines(text);
  auto wanted = split_lines(old_text);
  if (lines.empty() || wanted.empty()) return {};
  // Long texts are compared by their first lines only.
  wanted.resize(std::clamp<size_t>(kComparedPairsMax / lines.size(), 1, wanted.size()));
  double best = 0;
  size_t best_at = 0;
  for (size_t at = 0; at < lines.size(); ++at) {
    double score = 0;
    for (size_t i = 0; i < wanted.size() && at + i < lines.size(); ++i) {
      score += likeness(lines[at + i], wanted[i]);
    }
    if (score > best) {
      best = score;
      best_at = at;
    }
  }
  if (best < 0.4 * static_cast<double>(wanted.size())) return {};
  return {best_at + 1, std::min(best_at + wanted.size(), lines.size())};
}

}  // namespace sable::tools
