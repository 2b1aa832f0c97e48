// What kind of text a file holds, and numbered lines as a model reads them.
#pragma once

#include <string>
#include <string_view>

namespace sable::tools {

enum class TextKind {
  utf8,
  other_8bit,  ///< no NUL, but not UTF-8: shown with replacement characters
  utf16,       ///< by its byte order mark
  binary,
};

/// Judges by the whole content for UTF-8 and by the first 8 KiB for NUL bytes.
TextKind kind_of_text(std::string_view content);

/// Offset, bytes in hexadecimal and as ASCII, 16 a line, of the first `bytes_max` bytes.
std::string hex_head(std::string_view content, size_t bytes_max);

/// "    12\ttext\n": the form in which read_file and edit_file show lines. `number` counts from 1;
/// a final CR is left out; long lines are cut.
std::string numbered_line(size_t number, std::string_view line, size_t bytes_max = 2'000);

/// Lines [first, last] (from 1, clipped) of `content`, numbered.
std::string numbered_lines(std::string_view content, size_t first, size_t last);

}  // namespace sable::tools
