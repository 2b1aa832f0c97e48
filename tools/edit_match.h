// Where in a file an edit belongs: exactly, or tolerating differences in white space that cannot
// change the place or the meaning.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sable::tools {

/// A file's text as edits see it: without byte order mark, CR LF as LF; places map back to its
/// bytes.
class EditableText {
 public:
  explicit EditableText(std::string_view bytes);

  const std::string& text() const { return text_; }
  /// Offset in the file's bytes of an offset in text(). The CR of a CR LF belongs to the newline.
  size_t in_bytes(size_t offset) const;
  /// Whether the newlines in [begin, end) of text(), or without any there those of the whole file,
  /// are mostly CR LF.
  bool has_crlf(size_t begin, size_t end) const;

 private:
  std::string text_;
  size_t mark_bytes_ = 0;
  std::vector<size_t> crlf_;  ///< offsets in text_ of the newlines that were CR LF
  size_t n_newlines_ = 0;
};

struct Edit {
  std::string old_text, new_text;  ///< with LF
  bool replace_all = false;
};

/// What to put instead of [begin, end) of EditableText::text().
struct Replacement {
  size_t begin = 0, end = 0;
  std::string text;
};

/// Where an edit goes, or why it does not.
struct EditPlan {
  enum class Kind { found, missing, ambiguous };
  Kind kind = Kind::missing;
  std::vector<Replacement> replacements;  ///< found: in order, not overlapping
  std::vector<size_t> places;  ///< ambiguous: offsets of the candidates; found: of what is left
  std::string tolerated;  ///< found: the difference that was tolerated, in words; empty when exact
  std::string reason;     ///< missing: what is known about why, or empty
};

/// Exact places first; only if there are none, one place that differs in: the newline at the end of
/// the file, line numbers copied from read_file, white space at line ends, or indentation shifted
/// or converted throughout in the same way. A tolerant match must be the only one.
///
/// All places of a name are those where it stands alone: longer names that contain it are left, and
/// `places` says where. Where there are only such, the edit is ambiguous.
EditPlan plan_edit(const EditableText& file, const Edit& edit);

/// The file's bytes with the replacements made, newlines in the style of each place.
std::string apply_edit(std::string_view bytes, const EditableText& file, const EditPlan& plan);

/// Lines (from 1) that are most like `old_text`, to show a model what it may have meant.
struct LineRange {
  size_t first = 0, last = 0;  ///< 0: nothing is near
};
LineRange nearest_lines(std::string_view text, std::string_view old_text);

}  // namespace sable::tools
