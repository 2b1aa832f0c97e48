// The envelope form: "*** Begin Patch", sections for files, hunks found by their lines alone.
#include <fmt/format.h>

#include "tools/patch.h"
#include "tools/shown_text.h"
#include "tools/white_space.h"

namespace sable::tools {

namespace {

class EnvelopeReader {
 public:
  EnvelopeReader(const std::vector<std::string_view>& lines, size_t first_line)
      : lines_(lines), first_line_(first_line) {}

  Result<std::vector<FilePatch>> read() {
    if (take("*** Begin Patch")) skip_blank();
    std::vector<FilePatch> files;
    while (at_ < lines_.size()) {
      if (trimmed(lines_[at_]) == "*** End Patch") {
        ++at_;
        skip_blank();
        if (at_ < lines_.size()) return fail_here("nothing may follow \"*** End Patch\"");
        break;
      }
      SABLE_TRY(auto file, read_file());
      files.push_back(std::move(file));
      skip_blank();
    }
    if (files.empty()) {
      return fail(ErrorCode::invalid_input,
                  "the patch names no file; write \"*** Update File: PATH\", \"*** Add File: "
                  "PATH\" or \"*** Delete File: PATH\"");
    }
    return files;
  }

 private:
  size_t line() const { return first_line_ + at_; }
  tl::unexpected<Error> fail_here(std::string_view why) const { return fail_at_line(line(), why); }

  void skip_blank() {
    while (at_ < lines_.size() && trimmed(lines_[at_]).empty()) ++at_;
  }

  /// Whether this line begins with `mark`; then the rest is in rest_ and the line is taken.
  bool take(std::string_view mark) {
    if (at_ >= lines_.size()) return false;
    const std::string_view text = trimmed(lines_[at_]);
    if (!text.starts_with(mark)) return false;
    rest_ = trimmed(text.substr(mark.size()));
    ++at_;
    return true;
  }

  bool at_section() const { return at_ >= lines_.size() || lines_[at_].starts_with("*** "); }

  Result<FilePatch> read_file() {
    FilePatch file{.line = line()};
    if (take("*** Add File:")) {
      file.kind = FilePatch::Kind::create;
    } else if (take("*** Delete File:")) {
      file.kind = FilePatch::Kind::remove;
    } else if (!take("*** Update File:")) {
      return fail_here(
          fmt::format("expected \"*** Update File: PATH\", \"*** Add File: PATH\", \"*** Delete "
                      "File: PATH\" or "
                      "\"*** End Patch\", got \"{}\"",
                      shown_line(lines_[at_], 100)));
    }
    file.path = rest_;
    if (file.path.empty()) return fail_at_line(file.line, "the path of the file is missing");
    if (file.kind == FilePatch::Kind::create) {
      SABLE_TRY_VOID(read_content(file));
    } else if (file.kind == FilePatch::Kind::change) {
      if (take("*** Move to:")) {
        file.new_path = rest_;
        if (file.new_path.empty()) return fail_at_line(file.line + 1, "the new path is missing");
      }
      while (!at_section()) {
        SABLE_TRY_VOID(read_hunk(file));
      }
      if (file.hunks.empty() && file.new_path.empty()) {
        return fail_at_line(file.line, "no hunk follows: nothing would change");
      }
    }
    return file;
  }

  Result<void> read_content(FilePatch& file) {
    PatchHunk hunk{.line = line()};
    while (!at_section()) {
      const std::string_view text = lines_[at_];
      // A blank line before the next section is most often one that only parts them.
      if (text.empty() && blank_until_section()) break;
      if (!text.empty() && text[0] != '+') {
        return fail_here("every line of a file that is added begins with \"+\"");
      }
      hunk.lines.push_back({.kind = PatchLine::Kind::added,
                            .text = std::string(text.empty() ? text : text.substr(1))});
      ++at_;
    }
    if (!hunk.lines.empty()) file.hunks.push_back(std::move(hunk));
    return {};
  }

  bool blank_until_section() const {
    size_t next = at_;
    while (next < lines_.size() && trimmed(lines_[next]).empty()) ++next;
    return next == lines_.size() || lines_[next].starts_with("*** ");
  }

  Result<void> read_hunk(FilePatch& file) {
    PatchHunk hunk{.line = line()};
    while (!at_section() && lines_[at_].starts_with("@@")) read_header(hunk);
    while (!at_section() && !lines_[at_].starts_with("@@")) {
      const std::string_view text = lines_[at_];
      if (text.empty() && blank_until_section()) {
        skip_blank();
        break;
      }
      SABLE_TRY_VOID(read_line(text, hunk));
      ++at_;
    }
    if (at_ < lines_.size() && trimmed(lines_[at_]) == "*** End of File") {
      hunk.at_end = true;
      ++at_;
    }
    if (hunk.lines.empty()) return fail_at_line(hunk.line, "this hunk has no lines");
    file.hunks.push_back(std::move(hunk));
    return {};
  }

  void read_header(PatchHunk& hunk) {
    const std::string_view text = lines_[at_++];
    if (const auto range = parse_hunk_range(text)) {  // a model that mixes both forms
      hunk.old_line = range->old_line;
      return;
    }
    std::string_view anchor = trimmed(text.substr(2));
    if (anchor.ends_with("@@")) anchor = trimmed(anchor.substr(0, anchor.size() - 2));
    if (!anchor.empty()) hunk.anchors.emplace_back(anchor);
  }

  Result<void> read_line(std::string_view text, PatchHunk& hunk) {
    if (text.empty()) {  // an empty line of context whose space was lost
      hunk.lines.push_back({});
      return {};
    }
    const std::string rest(text.substr(1));
    switch (text[0]) {
      case ' ':
        hunk.lines.push_back({.kind = PatchLine::Kind::context, .text = rest});
        return {};
      case '-':
        hunk.lines.push_back({.kind = PatchLine::Kind::removed, .text = rest});
        return {};
      case '+':
        hunk.lines.push_back({.kind = PatchLine::Kind::added, .text = rest});
        return {};
      case '\\':
        if (!hunk.lines.empty()) hunk.lines.back().without_newline = true;
        return {};
      default:
        return fail_here(
            fmt::format("expected a line that begins with a space, \"-\" or \"+\", got \"{}\"",
                        shown_line(text, 100)));
    }
  }

  const std::vector<std::string_view>& lines_;
  size_t first_line_;
  size_t at_ = 0;
  std::string rest_;
};

}  // namespace

Result<std::vector<FilePatch>> parse_envelope(const std::vector<std::string_view>& lines,
                                              size_t first_line) {
  return EnvelopeReader(lines, first_line).read();
}

}  // namespace sable::tools
