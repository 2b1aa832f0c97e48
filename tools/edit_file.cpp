// edit_file: one text of a file replaced by another, in the one place where it belongs.
#include <algorithm>
#include <optional>
#include <string.h>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/builtins.h"
#include "tools/diff.h"
#include "tools/edit_match.h"
#include "tools/file_text.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

constexpr size_t kFileBytesMax = 8 << 20;
constexpr size_t kCandidatesMax = 5;
constexpr size_t kShownLinesMax = 60;

std::string with_lf(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    result += text[i];
  }
  return result;
}

size_t line_at(std::string_view text, size_t offset) {
  return 1 + static_cast<size_t>(
                 std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(offset), '\n'));
}

/// Where `part` begins in `text`; linear in their lengths, unlike std::string::find.
std::optional<size_t> place_of(std::string_view text, std::string_view part) {
  const void* at = ::memmem(text.data(), text.size(), part.data(), part.size());
  if (at == nullptr) return std::nullopt;
  return static_cast<size_t>(static_cast<const char*>(at) - text.data());
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (size_t at; (at = text.find(from)) != std::string_view::npos;) {
    result += text.substr(0, at);
    result += to;
    text.remove_prefix(at + from.size());
  }
  return result += text;
}

/// Quotes, dashes and spaces that look like ASCII ones but are not.
std::string with_plain_marks(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kMarks[] = {
      {"\u2018", "'"}, {"\u2019", "'"}, {"\u201C", "\""}, {"\u201D", "\""},
      {"\u2013", "-"}, {"\u2014", "-"}, {"\u2212", "-"},  {"\u00A0", " "}};
  for (const auto& [mark, plain] : kMarks) text = replaced(text, mark, plain);
  return text;
}

/// What a model most often gets wrong, found out for it.
std::string likely_cause(const std::string& text, const Edit& edit) {
  const auto made = edit.new_text.size() >= 8 ? place_of(text, edit.new_text) : std::nullopt;
  if (made) {
    return fmt::format("new_text already stands at line {}: this edit may have been made before",
                       line_at(text, *made));
  }
  const std::string unescaped = replaced(edit.old_text, "\\n", "\n");
  if (unescaped != edit.old_text && place_of(text, unescaped)) {
    return "old_text has a backslash and an n where the file has line ends; send real line ends";
  }
  if (place_of(with_plain_marks(text), with_plain_marks(edit.old_text))) {
    return "the file has typographic quotes, dashes or spaces where old_text has others; copy them "
           "exactly";
  }
  return {};
}

std::string ambiguous_text(const std::string& name, const std::string& text, const Edit& edit,
                           const EditPlan& plan) {
  std::string message =
      edit.replace_all
          ? fmt::format(
                "In {} old_text stands only within longer names; nothing was changed. If they are "
                "to be changed, give each whole as old_text. The places:\n",
                name)
          : fmt::format(
                "old_text stands in {} places of {}; nothing was changed. Add lines before or "
                "after it until it is the only one, or set replace_all to change every one. The "
                "places:\n",
                plan.places.size(), name);
  for (size_t i = 0; i < std::min(plan.places.size(), kCandidatesMax); ++i) {
    const size_t line = line_at(text, plan.places[i]);
    message += fmt::format("at line {}:\n{}", line, numbered_lines(text, line - 1, line + 1));
  }
  if (plan.places.size() > kCandidatesMax) {
    message += fmt::format("and {} more\n", plan.places.size() - kCandidatesMax);
  }
  return message;
}

std::string missing_text(const std::string& name, const std::string& text, const Edit& edit,
                         const EditPlan& plan) {
  std::string message = fmt::format("old_text was not found in {}; nothing was changed", name);
  std::string cause = plan.reason.empty() ? likely_cause(text, edit) : plan.reason;
  if (!cause.empty()) message += "; " + cause;
  const LineRange near = nearest_lines(text, edit.old_text);
  if (near.first == 0) {
    return message +
           ". Nothing like it is there: read the file with read_file and copy the lines to "
           "change, without their numbers\n";
  }
  const size_t last = std::min(near.last, near.first + kShownLinesMax);
  return message +
         fmt::format(". The nearest lines are {}-{}; copy them without their numbers:\n{}",
                     near.first, near.last, numbered_lines(text, near.first, last));
}

/// The new lines with two around each change.
std::string changed_lines(const std::string& before, const std::string& after) {
  const auto a = split_lines(before), b = split_lines(after);
  std::string text;
  size_t n_shown = 0, shown_to = 0;
  for (const auto& change : diff_lines(a, b)) {
    const size_t first =
        std::max(shown_to + 1, change.after + 1 - std::min<size_t>(change.after, 2));
    const size_t last = std::min(b.size(), change.after + change.n_after + 2);
    if (shown_to != 0 && first > shown_to + 1) text += "   ...\n";
    for (size_t i = first; i <= last; ++i) {
      if (++n_shown > kShownLinesMax) return text + "   ... more changed lines\n";
      text += numbered_line(i, b[i - 1]);
    }
    shown_to = std::max(shown_to, last);
  }
  return text;
}

Digest digest_of_attempt(const LoadedFile& file, const Json& arguments) {
  Sha256 hash;
  hash.update(file.place);
  hash.update(std::span<const uint8_t>(file.digest));
  hash.update(dump_json(arguments));
  return hash.finish();
}

Outcome refused(WorkspaceFiles& files, const LoadedFile& file, const Json& arguments,
                std::string text, LineRange near) {
  const int n = files.count_failure(digest_of_attempt(file, arguments));
  if (n > 1) {
    const std::string range =
        near.first == 0 ? ""
                        : fmt::format(" with start_line={} and end_line={}", near.first, near.last);
    text = fmt::format(
        "This very edit failed before ({} times now) and the file is still the same, so sending it "
        "again "
        "cannot work. Call read_file on {}{}, then send a different old_text, copied from what it "
        "shows; "
        "or replace the whole file with write_file.\n{}",
        n, shown_path(file.place), range, text);
  }
  Outcome outcome = failed(std::move(text));
  outcome.details = {{"path", to_utf8(file.place)}, {"same_failure", n}};
  return outcome;
}

/// Longer names that an edit of every place left, with how they can be changed, too.
std::string text_of_left(const std::string& text, const EditPlan& plan) {
  if (plan.places.empty()) return {};
  std::string lines;
  for (size_t i = 0; i < std::min(plan.places.size(), kCandidatesMax); ++i) {
    lines += fmt::format("{}{}", i == 0 ? "" : ", ", line_at(text, plan.places[i]));
  }
  if (plan.places.size() > kCandidatesMax) {
    lines += fmt::format(" and {} more", plan.places.size() - kCandidatesMax);
  }
  return fmt::format(
      "[left as they were: longer names that contain old_text, in what was line {}; to change one, "
      "give the longer name as old_text]\n",
      lines);
}

std::string result_text(const LoadedFile& file, const EditPlan& plan, const std::string& left,
                        const std::string& after, bool changed_since_read) {
  std::string text = fmt::format(
      "Edited {}{}. The changed lines now:\n", shown_path(file.place),
      plan.replacements.size() == 1 ? "" : fmt::format(" in {} places", plan.replacements.size()));
  text += changed_lines(file.content, after);
  text += left;
  if (!plan.tolerated.empty()) {
    text += fmt::format("[old_text differed from the file in {}, which was allowed for]\n",
                        plan.tolerated);
  }
  if (changed_since_read) {
    text +=
        "[the file had changed since it was last read; the edit was made on its present content]\n";
  }
  return text;
}

Outcome edit_file_now(WorkspaceFiles& files, const Json& arguments) {
  const std::string path = text_argument(arguments, "path");
  const Edit edit{.old_text = with_lf(text_argument(arguments, "old_text")),
                  .new_text = with_lf(text_argument(arguments, "new_text")),
                  .replace_all = flag_argument(arguments, "replace_all")};
  const auto file = files.load(path, kFileBytesMax);
  if (!file) {
    std::string text = file.error().message;
    if (file.error().code == ErrorCode::not_found) {
      const std::string similar = files.similar_to(path);
      text += similar.empty() ? "; write_file creates a file"
                              : fmt::format("; did you mean {}?", shown_path(similar));
    }
    return failed(std::move(text));
  }
  const std::string name = shown_path(file->place);
  const TextKind kind = kind_of_text(file->content);
  if (kind == TextKind::binary || kind == TextKind::utf16) {
    return failed(name + (kind == TextKind::utf16
                              ? ": UTF-16 text; convert it to UTF-8 first"
                              : ": a binary file; edit_file changes text only"));
  }
  if (edit.old_text.find_first_not_of(" \t\n") == std::string::npos) {
    return failed(
        "old_text holds no words; give the lines to change, or use write_file for a new file");
  }
  if (edit.old_text == edit.new_text) {
    return failed("old_text and new_text are the same; nothing was changed");
  }
  const EditableText text(file->content);
  const EditPlan plan = plan_edit(text, edit);
  const auto known = files.remembered(file->place);
  const bool changed_since_read = known && *known != file->digest;
  if (plan.kind == EditPlan::Kind::ambiguous) {
    return refused(files, *file, arguments, ambiguous_text(name, text.text(), edit, plan), {});
  }
  if (plan.kind == EditPlan::Kind::missing) {
    return refused(files, *file, arguments, missing_text(name, text.text(), edit, plan),
                   nearest_lines(text.text(), edit.old_text));
  }
  if (changed_since_read && !plan.tolerated.empty()) {
    return failed(
        fmt::format("{} was changed by somebody else since it was read, and old_text fits its "
                    "present content only roughly; read it again with read_file",
                    name));
  }
  std::string after = apply_edit(file->content, text, plan);
  const auto written = files.write(file->place, after, {.replaces = file->digest});
  if (!written) return failed(written.error().message);
  Outcome outcome;
  outcome.text =
      result_text(*file, plan, text_of_left(text.text(), plan), after, changed_since_read);
  outcome.details = {{"path", to_utf8(file->place)}, {"places", plan.replacements.size()}};
  if (!plan.tolerated.empty()) outcome.details["tolerated"] = plan.tolerated;
  outcome.changes.push_back(
      {.path = file->place, .before = file->content, .after = std::move(after)});
  return outcome;
}

}  // namespace

Tool edit_file_tool() {
  return make_builtin("edit_file",
                      "Replaces old_text by new_text in a text file of the workspace. old_text is "
                      "copied from the file "
                      "without line numbers and must stand in exactly one place: take whole lines, "
                      "and enough of them. "
                      "Line ends, byte order mark and the missing newline at the end of a file are "
                      "kept as they are.",
                      R"({
        "type": "object",
        "properties": {
          "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                   "description": "the file, relative to the workspace's root"},
          "old_text": {"type": "string", "minLength": 1, "description": "the text to replace"},
          "new_text": {"type": "string", "description": "the text to put there; empty to delete"},
          "replace_all": {"type": "boolean",
                          "description": "replace every place where old_text stands, of a name the whole ones; default false"}
        },
        "required": ["path", "old_text", "new_text"],
        "additionalProperties": false
      })",
                      Effect::workspace, file_runner(edit_file_now));
}

}  // namespace sable::tools
