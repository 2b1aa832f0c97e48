#include "tools/patch_fit.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/file_text.h"
#include "tools/indentation.h"
#include "tools/shown_text.h"
#include "tools/white_space.h"

namespace sable::tools {

namespace {

using Lines = std::vector<std::string_view>;

/// Of context, at each end of a hunk, that may differ.
constexpr size_t kFuzzMax = 2;
/// Lines with words that must agree where context may differ.
constexpr size_t kAgreeingLinesMin = 3;
constexpr size_t kPlacesShownMax = 5;
constexpr size_t kLinesShownMax = 30;
/// Line comparisons for one file: texts of equal lines would need the product of their lengths.
constexpr size_t kComparisonsMax = 20'000'000;

enum class Form { exact, line_ends, indentation };

std::string_view in_form(std::string_view line, Form form) {
  return form == Form::exact ? line : form == Form::line_ends ? trimmed_end(line) : trimmed(line);
}

/// A hunk's old lines without `head` and `tail` lines of context at its edges.
struct OldLines {
  std::vector<std::string_view> lines;
  size_t head = 0, tail = 0;
};

bool is_old(const PatchLine& line) { return line.kind != PatchLine::Kind::added; }

OldLines old_lines(const PatchHunk& hunk, size_t fuzz) {
  OldLines old;
  const auto& all = hunk.lines;
  while (old.head < fuzz && old.head < all.size() &&
         all[old.head].kind == PatchLine::Kind::context) {
    ++old.head;
  }
  while (old.tail < fuzz && old.head + old.tail < all.size() &&
         all[all.size() - 1 - old.tail].kind == PatchLine::Kind::context) {
    ++old.tail;
  }
  for (size_t i = old.head; i + old.tail < all.size(); ++i) {
    if (is_old(all[i])) old.lines.push_back(all[i].text);
  }
  return old;
}

size_t lines_with_words(const Lines& lines) {
  return static_cast<size_t>(std::count_if(
      lines.begin(), lines.end(), [](std::string_view line) { return !trimmed(line).empty(); }));
}

/// What a search came to.
struct Choice {
  enum class Kind { none, one, several };
  Kind kind = Kind::none;
  size_t place = 0;            ///< index of the first line
  std::vector<size_t> places;  ///< several
};

Choice choice_of(std::vector<size_t> places) {
  if (places.empty()) return {};
  if (places.size() > 1) return {.kind = Choice::Kind::several, .places = std::move(places)};
  return {.kind = Choice::Kind::one, .place = places[0]};
}

class Fitter {
 public:
  Fitter(const EditableText& file, const std::vector<PatchHunk>& hunks)
      : text_(file.text()), lines_(split_lines(text_)), hunks_(hunks) {}

  PatchFit fit() {
    for (const auto& hunk : hunks_) fit_hunk(hunk);
    std::sort(fit_.replacements.begin(), fit_.replacements.end(),
              [](const Replacement& a, const Replacement& b) {
                return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
              });
    if (!fit_.problems.empty()) fit_.replacements.clear();
    return std::move(fit_);
  }

 private:
  struct Taken {
    size_t first, last;  ///< lines [first, last)
  };

  void problem(const PatchHunk& hunk, std::string_view why) {
    fit_.problems.push_back(fmt::format("the hunk at line {} of the patch {}", hunk.line, why));
  }

  void fit_hunk(const PatchHunk& hunk) {
    const OldLines whole = old_lines(hunk, 0);
    const bool changes = std::any_of(hunk.lines.begin(), hunk.lines.end(), [](const auto& line) {
      return line.kind != PatchLine::Kind::context;
    });
    if (!changes) return problem(hunk, "changes nothing: no line begins with \"-\" or \"+\"");
    if (!marks_fit(hunk)) {
      return problem(hunk, "says that the file ends there, but more of its lines follow");
    }
    if (whole.lines.empty()) return fit_insertion(hunk);
    if (lines_with_words(whole.lines) == 0) {
      return problem(hunk,
                     "has only blank lines to find its place by; give lines with words around it");
    }
    for (const Form form : {Form::exact, Form::line_ends, Form::indentation}) {
      if (try_place(hunk, whole, form)) return;
    }
    for (size_t fuzz = 1; fuzz <= kFuzzMax; ++fuzz) {
      const OldLines less = old_lines(hunk, fuzz);
      if (less.head + less.tail == 0 || lines_with_words(less.lines) < kAgreeingLinesMin) break;
      if (try_place(hunk, less, Form::exact)) return;
    }
    problem(hunk, missing_text(hunk, whole.lines));
  }

  /// A mark "no newline at the end" stands only behind the last line of a side.
  static bool marks_fit(const PatchHunk& hunk) {
    for (size_t i = 0; i < hunk.lines.size(); ++i) {
      if (!hunk.lines[i].without_newline) continue;
      for (size_t j = i + 1; j < hunk.lines.size(); ++j) {
        const auto kind = hunk.lines[j].kind;
        // A removed line may be followed by the lines that come instead of it.
        if (hunk.lines[i].kind == PatchLine::Kind::removed && kind == PatchLine::Kind::added)
          continue;
        if (hunk.lines[i].kind == PatchLine::Kind::added && kind == PatchLine::Kind::removed)
          continue;
        return false;
      }
    }
    return true;
  }

  /// Only where there can be no doubt: into an empty file, or at the marked end of one.
  void fit_insertion(const PatchHunk& hunk) {
    if (!lines_.empty() && !hunk.at_end) {
      return problem(hunk,
                     "has no old lines to find its place by; add unchanged lines before or after "
                     "the new ones");
    }
    add_replacements(hunk, {}, lines_.size(), Form::exact);
  }

  bool needs_end(const PatchHunk& hunk) const {
    return std::any_of(hunk.lines.begin(), hunk.lines.end(),
                       [](const PatchLine& line) { return line.without_newline; });
  }

  /// True when the matter is settled: a place was found, or several.
  bool try_place(const PatchHunk& hunk, const OldLines& old, Form form) {
    auto places = windows(old.lines, form);
    std::erase_if(places, [&](size_t place) { return overlaps(place, old.lines.size()); });
    if (needs_end(hunk)) keep_ending(places, old);
    if (hunk.at_end) {
      auto ending = places;
      keep_ending(ending, old);
      if (!ending.empty()) places = std::move(ending);
    }
    const Choice choice = choose(hunk, places, old, form);
    if (choice.kind == Choice::Kind::none) return false;
    if (choice.kind == Choice::Kind::several) {
      problem(hunk, several_text(choice.places, old.lines.size()));
      return true;
    }
    return add_replacements(hunk, old, choice.place, form);
  }

  void keep_ending(std::vector<size_t>& places, const OldLines& old) const {
    std::erase_if(
        places, [&](size_t place) { return place + old.lines.size() + old.tail != lines_.size(); });
  }

  bool overlaps(size_t first, size_t count) const {
    return std::any_of(taken_.begin(), taken_.end(), [&](const Taken& taken) {
      return first < taken.last && taken.first < first + count;
    });
  }

  Choice choose(const PatchHunk& hunk, const std::vector<size_t>& places, const OldLines& old,
                Form form) const {
    std::vector<size_t> behind, before;
    for (const size_t place : places) (place >= from_ ? behind : before).push_back(place);
    if (form == Form::exact && old.head + old.tail == 0 && hunk.old_line) {
      const auto expected = static_cast<int64_t>(*hunk.old_line) - 1 + shift_;
      for (const size_t place : behind) {
        if (static_cast<int64_t>(place) == expected) return choice_of({place});
      }
    }
    const auto anchors = anchored_from(hunk.anchors);
    if (!anchors.empty()) {
      std::vector<size_t> first_behind;
      for (const size_t anchor : anchors) {
        const auto it = std::lower_bound(places.begin(), places.end(), anchor);
        if (it != places.end() && (first_behind.empty() || first_behind.back() != *it)) {
          first_behind.push_back(*it);
        }
      }
      return choice_of(std::move(first_behind));
    }
    return choice_of(behind.empty() ? std::move(before) : std::move(behind));
  }

  /// Lines from which the innermost anchor stands, in order; those behind the hunk before if there
  /// are any. Empty without anchors, and when the file does not have them.
  std::vector<size_t> anchored_from(const std::vector<std::string>& anchors) const {
    if (anchors.empty()) return {};
    std::vector<size_t> found;
    for (size_t i = 0; i < anchors.size(); ++i) {
      const auto here = lines_like(anchors[i]);
      if (i == 0) {
        found = here;
        continue;
      }
      std::vector<size_t> inner;
      for (const size_t outer : found) {
        const auto it = std::upper_bound(here.begin(), here.end(), outer);
        if (it != here.end() && (inner.empty() || inner.back() != *it)) inner.push_back(*it);
      }
      found = std::move(inner);
    }
    if (const auto it = std::lower_bound(found.begin(), found.end(), from_); it != found.end()) {
      found.erase(found.begin(), it);
    }
    return found;
  }

  std::vector<size_t> lines_like(std::string_view anchor) const {
    std::vector<size_t> same, longer;
    for (size_t i = 0; i < lines_.size(); ++i) {
      const std::string_view line = trimmed(lines_[i]);
      if (line == anchor) same.push_back(i);
      if (line.starts_with(anchor)) longer.push_back(i);
    }
    return same.empty() ? longer : same;
  }

  std::vector<size_t> windows(const Lines& wanted, Form form) {
    std::vector<size_t> found;
    for (size_t at = 0; at + wanted.size() <= lines_.size(); ++at) {
      size_t i = 0;
      while (i < wanted.size() && in_form(lines_[at + i], form) == in_form(wanted[i], form)) ++i;
      if (i == wanted.size()) found.push_back(at);
      n_compared_ += i + 1;
      if (n_compared_ > kComparisonsMax) return {};
    }
    return found;
  }

  size_t offset_of(size_t line) const {
    return line < lines_.size() ? static_cast<size_t>(lines_[line].data() - text_.data())
                                : text_.size();
  }

  /// False when the added lines cannot follow the file's indentation.
  bool add_replacements(const PatchHunk& hunk, const OldLines& old, size_t place, Form form) {
    std::optional<IndentationRule> rule;
    if (form == Form::indentation) {
      rule = IndentationRule::between(
          old.lines, std::span<const std::string_view>(lines_).subspan(place, old.lines.size()));
      if (!rule) return false;
    }
    std::vector<Replacement> made;
    size_t at = place;
    for (size_t i = old.head; i + old.tail < hunk.lines.size();) {
      if (hunk.lines[i].kind == PatchLine::Kind::context) {
        ++at, ++i;
        continue;
      }
      const size_t first = at;
      std::string added;
      bool ends_open = false, removed_open_end = false;
      for (; i + old.tail < hunk.lines.size(); ++i) {
        const PatchLine& line = hunk.lines[i];
        if (line.kind == PatchLine::Kind::context) break;
        if (line.kind == PatchLine::Kind::removed) {
          ++at;
          removed_open_end |= line.without_newline;
          continue;
        }
        added += line.text + "\n";
        ends_open = line.without_newline;
      }
      if (rule) {
        auto shifted = rule->apply(added);
        if (!shifted) return false;
        added = std::move(*shifted);
      }
      made.push_back(replacement(first, at, std::move(added), ends_open, removed_open_end));
    }
    const size_t end = place + old.lines.size();
    fit_.replacements.insert(fit_.replacements.end(), made.begin(), made.end());
    taken_.push_back({place, end});
    from_ = std::max(from_, end);
    note_tolerances(hunk, old, place, form);
    // Later headers count lines of the old file: what stays is how far the hunks were off.
    if (hunk.old_line && !old.lines.empty()) {
      shift_ = static_cast<int64_t>(place) - static_cast<int64_t>(old.head) -
               (static_cast<int64_t>(*hunk.old_line) - 1);
    }
    return true;
  }

  Replacement replacement(size_t first, size_t last, std::string added, bool ends_open,
                          bool removed_open_end) const {
    Replacement made{offset_of(first), offset_of(last), std::move(added)};
    const bool file_ends_open = !text_.empty() && !text_.ends_with('\n');
    if (made.end == text_.size() && !made.text.empty()) {
      if (file_ends_open && made.begin == text_.size()) made.text.insert(0, "\n");
      const bool open = ends_open || (file_ends_open && !removed_open_end);
      if (open) made.text.pop_back();
    }
    return made;
  }

  void note_tolerances(const PatchHunk& hunk, const OldLines& old, size_t place, Form form) {
    const auto note = [&](std::string_view what) {
      fit_.tolerated.push_back(
          fmt::format("the hunk at line {} of the patch differed in {}", hunk.line, what));
    };
    if (form == Form::line_ends) note("white space at line ends");
    if (form == Form::indentation) note("indentation");
    if (old.head + old.tail > 0) {
      note(fmt::format("context lines at its edges; it was applied at line {}", place + 1));
    }
  }

  std::string several_text(const std::vector<size_t>& places, size_t n_lines) const {
    std::string message = fmt::format(
        "fits in {} places, so it was not applied; add unchanged lines around it, or \"@@\" with "
        "the line of the function that it is in. The places: lines",
        places.size());
    for (size_t i = 0; i < std::min(places.size(), kPlacesShownMax); ++i) {
      message += fmt::format("{} {}-{}", i == 0 ? "" : ",", places[i] + 1, places[i] + n_lines);
    }
    if (places.size() > kPlacesShownMax) message += ", ...";
    return message;
  }

  std::string missing_text(const PatchHunk& hunk, const Lines& old) {
    if (n_compared_ > kComparisonsMax) {
      return "was searched for too long; send smaller patches of this file";
    }
    Lines fresh;
    for (const auto& line : hunk.lines) {
      if (line.kind != PatchLine::Kind::removed) fresh.push_back(line.text);
    }
    if (!fresh.empty() && lines_with_words(fresh) > 1) {
      if (const auto made = windows(fresh, Form::exact); !made.empty()) {
        return fmt::format("may have been applied before: its new lines stand at line {}",
                           made[0] + 1);
      }
    }
    std::string wanted;
    for (const auto line : old) wanted += fmt::format("{}\n", line);
    const LineRange near = nearest_lines(text_, wanted);
    if (near.first == 0) {
      return "has lines that are nowhere in the file; read it with read_file and copy them";
    }
    const size_t last = std::min(near.last, near.first + kLinesShownMax);
    return fmt::format(
        "has lines that are not in the file. The nearest are lines {}-{}; copy them without their "
        "numbers:\n{}",
        near.first, near.last, numbered_lines(text_, near.first, last));
  }

  const std::string& text_;
  Lines lines_;
  const std::vector<PatchHunk>& hunks_;
  PatchFit fit_;
  std::vector<Taken> taken_;
  size_t from_ = 0;    ///< behind the hunks so far
  int64_t shift_ = 0;  ///< of the file against the line numbers in the patch
  size_t n_compared_ = 0;
};

}  // namespace

PatchFit fit_hunks(const EditableText& file, const std::vector<PatchHunk>& hunks) {
  return Fitter(file, hunks).fit();
}

}  // namespace sable::tools
