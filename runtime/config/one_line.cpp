#include "runtime/config/one_line.h"

#include "base/text.h"

namespace sable::runtime::config {

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : escape_controls(text)) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else {
      line += c;
    }
  }
  return line;
}

}  // namespace sable::runtime::config
