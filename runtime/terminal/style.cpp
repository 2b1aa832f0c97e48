#include "runtime/terminal/style.h"

#include "base/text.h"

namespace sable::runtime {

std::string paint_diff(const Style& style, std::string_view text) {
  std::string painted;
  for (const auto line : split_lines(text)) {
    const std::string safe = escape_controls(line);
    if (line.starts_with("+++") || line.starts_with("---")) {
      painted += style.bold(safe);
    } else if (line.starts_with('+')) {
      painted += style.green(safe);
    } else if (line.starts_with('-')) {
      painted += style.red(safe);
    } else if (line.starts_with("@@")) {
      painted += style.cyan(safe);
    } else {
      painted += safe;
    }
    painted += '\n';
  }
  return painted;
}

}  // namespace sable::runtime
