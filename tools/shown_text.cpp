#include "tools/shown_text.h"

#include <fmt/format.h>

#include "base/text.h"

namespace sable::tools {

std::string shown_path(std::string_view path) {
  std::string shown;
  for (const char c : escape_controls(path)) {
    if (c == '\n') {
      shown += "\\n";
    } else if (c == '\t') {
      shown += "\\t";
    } else {
      shown += c;
    }
  }
  return shown;
}

std::string shown_line(std::string_view line, size_t bytes_max) {
  const size_t kept = utf8_prefix(line, bytes_max);
  std::string shown = escape_controls(line.substr(0, kept));
  if (kept < line.size()) shown += fmt::format(" [... {} more bytes]", line.size() - kept);
  return shown;
}

std::string counted(size_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

}  // namespace sable::tools
