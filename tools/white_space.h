// Lines without the spaces and tabs around them.
#pragma once

#include <string_view>

namespace sable::tools {

inline std::string_view trimmed_end(std::string_view line) {
  const size_t last = line.find_last_not_of(" \t");
  return last == std::string_view::npos ? std::string_view() : line.substr(0, last + 1);
}

inline std::string_view trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view() : trimmed_end(line.substr(first));
}

}  // namespace sable::tools
