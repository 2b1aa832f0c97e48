// A patch as models write it: a unified diff (POSIX diff -u, git), or the envelope of Codex models
// ("*** Begin Patch"). Parsing knows no files; where a hunk belongs is decided by patch_fit.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sable::tools {

/// One line of a hunk, without its mark and its newline.
struct PatchLine {
  enum class Kind { context, removed, added };
  Kind kind = Kind::context;
  std::string text;
  bool without_newline = false;  ///< "\ No newline at end of file" follows it
};

struct PatchHunk {
  size_t line = 0;                   ///< in the patch, from 1, for messages
  std::optional<size_t> old_line;    ///< where it stands in the old file, from 1, if it says so
  std::vector<std::string> anchors;  ///< lines that stand before it, each inside the one before
  std::vector<PatchLine> lines;
  bool at_end = false;  ///< it reaches the end of the file
};

/// What happens to one file.
struct FilePatch {
  enum class Kind { change, create, remove };
  Kind kind = Kind::change;
  size_t line = 0;                   ///< in the patch, from 1
  std::string path;                  ///< as written, prefixes "a/" and "b/" taken off
  std::string new_path;              ///< of a file that is moved; else empty
  std::vector<PatchHunk> hunks;      ///< create: at most one, of added lines only
  bool whole_content_given = false;  ///< remove: the hunk holds what the file must contain
  bool executable = false;           ///< create: the patch says mode 100755
};

/// Bounds of a patch: a hostile one costs no more than reading it.
struct PatchLimits {
  size_t bytes_max = size_t{4} << 20;
  size_t files_max = 200;
  size_t hunks_max = 2'000;
};

/// Parses either form; a code fence or a shell's here-document around it is taken off. Line ends CR
/// LF count as LF. Errors (invalid_input) name the line of the patch and are written for the model.
Result<std::vector<FilePatch>> parse_patch(std::string_view text, const PatchLimits& limits = {});

/// The two forms, of lines without newlines; `first_line` is the number of lines[0] in the patch.
Result<std::vector<FilePatch>> parse_unified(const std::vector<std::string_view>& lines,
                                             size_t first_line);
Result<std::vector<FilePatch>> parse_envelope(const std::vector<std::string_view>& lines,
                                              size_t first_line);

/// "line 12 of the patch: WHY".
tl::unexpected<Error> fail_at_line(size_t line, std::string_view why);

/// "-A,B +C,D" between the marks of a hunk's header.
struct HunkRange {
  size_t old_line = 0, n_old = 1, n_new = 1;
};
/// Of "@@ -A,B +C,D @@ ..."; nullopt when the line is no such header.
std::optional<HunkRange> parse_hunk_range(std::string_view line);

}  // namespace sable::tools
