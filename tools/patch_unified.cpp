// The unified form: "--- a/FILE", "+++ b/FILE", hunks with line numbers; git's extended headers.
#include <algorithm>

#include <fmt/format.h>

#include "tools/patch.h"
#include "tools/shown_text.h"
#include "tools/white_space.h"

namespace sable::tools {

namespace {

/// One of the two names in a header; absent for /dev/null.
using Name = std::optional<std::string>;

/// `"a/na\303\257ve"`: git quotes names with unusual bytes as C strings.
std::optional<std::string> unquoted(std::string_view text) {
  std::string name;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return name;
    if (text[i] != '\\') {
      name += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    constexpr std::string_view kCodes = "abfnrtv\\\"", kBytes = "\a\b\f\n\r\t\v\\\"";
    if (const size_t at = kCodes.find(text[i]); at != std::string_view::npos) {
      name += kBytes[at];
    } else if (i + 2 < text.size() && text[i] >= '0' && text[i] <= '3' && text[i + 1] >= '0' &&
               text[i + 1] <= '7' && text[i + 2] >= '0' && text[i + 2] <= '7') {
      name += static_cast<char>((text[i] - '0') * 64 + (text[i + 1] - '0') * 8 + text[i + 2] - '0');
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

bool has_prefix(std::string_view name) {
  return name.size() > 2 && name[1] == '/' &&
         std::string_view("abciow").find(name[0]) != std::string_view::npos;
}

bool is_noise_between_files(std::string_view line) {
  return trimmed(line).empty() || line.starts_with("Index: ") || line.starts_with("Only in ") ||
         line.starts_with("diff ") || line.find_first_not_of('=') == std::string_view::npos;
}

/// What the headers said of one file.
struct Header {
  size_t line = 0;
  bool git = false;
  Name old_name, new_name;
  bool has_names = false;  ///< "---" and "+++" were there
  std::string moved_from, moved_to;
  std::string same_name;  ///< of "diff --git a/X b/X"
  bool created = false, removed = false, executable = false;
};

class UnifiedReader {
 public:
  UnifiedReader(const std::vector<std::string_view>& lines, size_t first_line)
      : lines_(lines), first_line_(first_line) {}

  Result<std::vector<FilePatch>> read() {
    std::vector<FilePatch> files;
    while (at_ < lines_.size() && !at_file()) ++at_;  // a commit message, or what a person wrote
    while (at_ < lines_.size()) {
      SABLE_TRY(auto file, read_file());
      files.push_back(std::move(file));
      SABLE_TRY_VOID(skip_to_next_file());
    }
    if (files.empty()) {
      return fail(ErrorCode::invalid_input,
                  "this is no patch: expected \"*** Begin Patch\", or a unified diff with \"--- "
                  "a/FILE\" and \"+++ b/FILE\"");
    }
    return files;
  }

 private:
  size_t number_of(size_t index) const { return first_line_ + index; }
  tl::unexpected<Error> fail_here(std::string_view why) const {
    return fail_at_line(number_of(at_), why);
  }
  std::string_view line(size_t index) const {
    return index < lines_.size() ? lines_[index] : std::string_view();
  }

  bool at_names(size_t index) const {
    return line(index).starts_with("--- ") && line(index + 1).starts_with("+++ ");
  }
  bool at_file(size_t index) const {
    return line(index).starts_with("diff --git ") || at_names(index);
  }
  bool at_file() const { return at_file(at_); }

  /// "-- " and a version, as mailed patches end.
  bool at_signature(size_t index) const {
    return line(index) == "-- " && (index + 3 >= lines_.size() || at_file(index + 3));
  }

  bool ends_hunk(size_t index) const {
    while (index < lines_.size() && lines_[index].empty()) ++index;
    return index >= lines_.size() || lines_[index].starts_with("@@") || at_file(index) ||
           at_signature(index) || lines_[index].starts_with("Index: ") ||
           lines_[index].starts_with("diff ");
  }

  Result<void> skip_to_next_file() {
    while (at_ < lines_.size() && !at_file()) {
      if (at_signature(at_)) {
        while (at_ < lines_.size() && !at_file()) ++at_;
      } else if (is_noise_between_files(lines_[at_])) {
        ++at_;
      } else {
        // Leaving such a line out could leave out a part of the change.
        return fail_here(fmt::format(
            "expected a line of the hunk (beginning with a space, \"-\" or \"+\"), \"@@\" or the "
            "next file, got \"{}\"",
            shown_line(lines_[at_], 100)));
      }
    }
    return {};
  }

  Result<Name> name_in(std::string_view text) {
    text.remove_prefix(4);
    if (trimmed(text).starts_with('"')) {
      auto name = unquoted(trimmed(text));
      if (!name) return fail_here("the quoted file name is not well formed");
      return Name(std::move(*name));
    }
    text = trimmed(text.substr(0, text.find('\t')));
    if (text.empty()) return fail_here("the file name is missing");
    if (text == "/dev/null") return Name();
    return Name(std::string(text));
  }

  Result<Header> read_header() {
    Header header{.line = number_of(at_)};
    if (lines_[at_].starts_with("diff --git ")) {
      header.git = true;
      header.same_name = same_name_in(lines_[at_].substr(11));
      ++at_;
      while (at_ < lines_.size() && !at_file() && !lines_[at_].starts_with("@@")) {
        SABLE_TRY(const bool known, read_extended(lines_[at_], header));
        if (!known) break;
        ++at_;
      }
    }
    if (at_names(at_)) {
      SABLE_TRY(header.old_name, name_in(lines_[at_]));
      ++at_;
      SABLE_TRY(header.new_name, name_in(lines_[at_]));
      ++at_;
      header.has_names = true;
    }
    return header;
  }

  /// "a/X b/X": X, when both are the same and unquoted.
  static std::string same_name_in(std::string_view names) {
    if (names.size() < 5 || names.size() % 2 == 0) return {};
    const size_t half = names.size() / 2;
    const std::string_view a = names.substr(0, half), b = names.substr(half + 1);
    if (names[half] != ' ' || !has_prefix(a) || !has_prefix(b) || a.substr(2) != b.substr(2)) {
      return {};
    }
    return std::string(a.substr(2));
  }

  /// One line of git's extended header; false when it is none.
  Result<bool> read_extended(std::string_view text, Header& header) {
    const auto rest_of = [&](std::string_view mark) { return trimmed(text.substr(mark.size())); };
    const auto name_of = [&](std::string_view mark) {
      const std::string_view rest = rest_of(mark);
      if (!rest.starts_with('"')) return std::string(rest);
      return unquoted(rest).value_or(std::string());
    };
    if (text.starts_with("index ") || text.starts_with("similarity index ") ||
        text.starts_with("dissimilarity index ")) {
      return true;
    }
    if (text.starts_with("rename from ")) {
      header.moved_from = name_of("rename from ");
      return true;
    }
    if (text.starts_with("rename to ")) {
      header.moved_to = name_of("rename to ");
      return true;
    }
    if (text.starts_with("deleted file mode ")) {
      header.removed = true;
      return true;
    }
    if (text.starts_with("new file mode ")) {
      const std::string_view mode = rest_of("new file mode ");
      if (mode != "100644" && mode != "100755") {
        return fail_here("only plain files can be made: a symbolic link or submodule is not");
      }
      header.created = true;
      header.executable = mode == "100755";
      return true;
    }
    if (text.starts_with("old mode ") || text.starts_with("new mode ")) {
      return fail_here("a change of a file's mode is not made by patches; use chmod in the shell");
    }
    if (text.starts_with("copy from ") || text.starts_with("copy to ")) {
      return fail_here("copies are not made by patches; add the file with its whole content");
    }
    if (text.starts_with("GIT binary patch") || text.starts_with("Binary files ")) {
      return fail_here("binary files cannot be patched");
    }
    return false;
  }

  Result<FilePatch> read_file() {
    SABLE_TRY(const Header header, read_header());
    FilePatch file{.line = header.line, .executable = header.executable};
    SABLE_TRY_VOID(name_file(header, file));
    while (line(at_).starts_with("@@")) {
      SABLE_TRY(auto hunk, read_hunk());
      file.hunks.push_back(std::move(hunk));
      while (at_ < lines_.size() && lines_[at_].empty()) ++at_;
    }
    SABLE_TRY_VOID(check_kind(file));
    return file;
  }

  Result<void> name_file(const Header& header, FilePatch& file) const {
    if (!header.moved_from.empty() || !header.moved_to.empty()) {
      if (header.moved_from.empty() || header.moved_to.empty()) {
        return fail_at_line(header.line, "\"rename from\" and \"rename to\" belong together");
      }
      file.path = header.moved_from;
      file.new_path = header.moved_to;
      return {};
    }
    if (!header.has_names) {
      file.path = header.same_name;
      file.kind = header.created   ? FilePatch::Kind::create
                  : header.removed ? FilePatch::Kind::remove
                                   : FilePatch::Kind::change;
      file.whole_content_given = header.removed;
      if (file.path.empty()) return fail_at_line(header.line, "\"---\" and \"+++\" are missing");
      return {};
    }
    if (!header.old_name && !header.new_name) {
      return fail_at_line(header.line, "both names are /dev/null");
    }
    if (!header.old_name || !header.new_name) {
      file.kind = header.old_name ? FilePatch::Kind::remove : FilePatch::Kind::create;
      file.whole_content_given = header.old_name.has_value();
      const std::string& name = header.old_name ? *header.old_name : *header.new_name;
      const char usual = header.old_name ? 'a' : 'b';
      const bool prefixed = has_prefix(name) && (header.git || name[0] == usual);
      file.path = prefixed ? name.substr(2) : name;
      return {};
    }
    const std::string &a = *header.old_name, &b = *header.new_name;
    if (has_prefix(a) && has_prefix(b) && a.substr(2) == b.substr(2) &&
        (header.git || a[0] != b[0])) {
      file.path = a.substr(2);
    } else if (a == b) {
      file.path = a;
    } else {
      return fail_at_line(header.line,
                          fmt::format("the names {} and {} are of different files; to move a file "
                                      "write \"rename from\" and \"rename to\"",
                                      shown_path(a), shown_path(b)));
    }
    if (header.created) file.kind = FilePatch::Kind::create;
    if (header.removed) {
      file.kind = FilePatch::Kind::remove;
      file.whole_content_given = true;
    }
    return {};
  }

  static Result<void> check_kind(const FilePatch& file) {
    const auto has_other_than = [&](PatchLine::Kind kind) {
      return std::any_of(file.hunks.begin(), file.hunks.end(), [&](const PatchHunk& hunk) {
        return std::any_of(hunk.lines.begin(), hunk.lines.end(),
                           [&](const PatchLine& line) { return line.kind != kind; });
      });
    };
    if (file.kind == FilePatch::Kind::change && file.hunks.empty() && file.new_path.empty()) {
      return fail_at_line(file.line, "no hunk follows: nothing would change");
    }
    if (file.kind != FilePatch::Kind::change && file.hunks.size() > 1) {
      return fail_at_line(file.line, "a file that is made or removed has one hunk");
    }
    if (file.kind == FilePatch::Kind::create && has_other_than(PatchLine::Kind::added)) {
      return fail_at_line(file.line, "a new file has only lines that begin with \"+\"");
    }
    if (file.kind == FilePatch::Kind::remove && has_other_than(PatchLine::Kind::removed)) {
      return fail_at_line(file.line, "a file that is removed has only lines that begin with \"-\"");
    }
    return {};
  }

  Result<PatchHunk> read_hunk() {
    PatchHunk hunk{.line = number_of(at_)};
    const std::string_view header = lines_[at_];
    const auto range = parse_hunk_range(header);
    ++at_;
    if (range) {
      hunk.old_line = range->old_line;
      if (read_counted(*range, hunk)) return hunk;
      hunk.lines.clear();  // the numbers are wrong, as models often get them; go by the lines
    } else if (std::string_view anchor = trimmed(header.substr(2)); !anchor.empty()) {
      if (anchor.starts_with('-')) return fail_at_line(hunk.line, "expected \"@@ -A,B +C,D @@\"");
      if (anchor.ends_with("@@")) anchor = trimmed(anchor.substr(0, anchor.size() - 2));
      if (!anchor.empty() && anchor != "...") hunk.anchors.emplace_back(anchor);
    }
    while (at_ < lines_.size() && !ends_hunk(at_)) {
      if (!take_line(lines_[at_], hunk)) {
        return fail_here(
            fmt::format("expected a line that begins with a space, \"-\" or \"+\", got \"{}\"",
                        shown_line(lines_[at_], 100)));
      }
      ++at_;
    }
    if (hunk.lines.empty()) return fail_at_line(hunk.line, "this hunk has no lines");
    return hunk;
  }

  /// By the numbers of the header, when they fit what follows; else nothing is taken.
  bool read_counted(const HunkRange& range, PatchHunk& hunk) {
    const size_t start = at_;
    size_t n_old = 0, n_new = 0;
    while (at_ < lines_.size() && (n_old < range.n_old || n_new < range.n_new)) {
      if (!take_line(lines_[at_], hunk)) break;
      if (!lines_[at_].starts_with('\\')) {
        n_old += hunk.lines.back().kind != PatchLine::Kind::added ? 1 : 0;
        n_new += hunk.lines.back().kind != PatchLine::Kind::removed ? 1 : 0;
      }
      ++at_;
    }
    if (line(at_).starts_with('\\') && take_line(lines_[at_], hunk)) ++at_;
    if (n_old == range.n_old && n_new == range.n_new && !hunk.lines.empty() && ends_hunk(at_)) {
      return true;
    }
    at_ = start;
    return false;
  }

  static bool take_line(std::string_view text, PatchHunk& hunk) {
    if (text.empty()) {  // an empty line of context whose space was lost
      hunk.lines.push_back({});
      return true;
    }
    const auto kind = text[0] == ' '   ? PatchLine::Kind::context
                      : text[0] == '-' ? PatchLine::Kind::removed
                                       : PatchLine::Kind::added;
    if (text[0] == '\\' && !hunk.lines.empty()) {
      hunk.lines.back().without_newline = true;
      return true;
    }
    if (std::string_view(" -+").find(text[0]) == std::string_view::npos) return false;
    hunk.lines.push_back({.kind = kind, .text = std::string(text.substr(1))});
    return true;
  }

  const std::vector<std::string_view>& lines_;
  size_t first_line_;
  size_t at_ = 0;
};

}  // namespace

Result<std::vector<FilePatch>> parse_unified(const std::vector<std::string_view>& lines,
                                             size_t first_line) {
  return UnifiedReader(lines, first_line).read();
}

}  // namespace sable::tools
