#include "tools/file_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/shown_text.h"

namespace sable::tools {

TextKind kind_of_text(std::string_view content) {
  if (content.starts_with("\xFF\xFE") || content.starts_with("\xFE\xFF")) return TextKind::utf16;
  if (content.substr(0, 8192).find('\0') != std::string_view::npos) return TextKind::binary;
  return is_utf8(content) ? TextKind::utf8 : TextKind::other_8bit;
}

std::string hex_head(std::string_view content, size_t bytes_max) {
  const std::string_view head = content.substr(0, bytes_max);
  std::string text;
  for (size_t at = 0; at < head.size(); at += 16) {
    const std::string_view row = head.substr(at, 16);
    std::string hex, ascii;
    for (const char c : row) {
      hex += fmt::format("{:02x} ", static_cast<unsigned char>(c));
      ascii += c >= 0x20 && c < 0x7F ? c : '.';
    }
    text += fmt::format("{:08x}  {:<48} {}\n", at, hex, ascii);
  }
  return text;
}

std::string numbered_line(size_t number, std::string_view line, size_t bytes_max) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return fmt::format("{:>6}\t{}\n", number, shown_line(line, bytes_max));
}

std::string numbered_lines(std::string_view content, size_t first, size_t last) {
  const auto lines = split_lines(content);
  std::string text;
  for (size_t i = std::max<size_t>(first, 1); i <= std::min(last, lines.size()); ++i) {
    text += numbered_line(i, lines[i - 1]);
  }
  return text;
}

}  // namespace sable::tools
