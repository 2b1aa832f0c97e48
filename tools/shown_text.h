// Foreign text put into one line of a message or a result: file names, values, cut lines.
#pragma once

#include <string>
#include <string_view>

namespace sable::tools {

/// A file name as it may stand in one line: controls, newlines and tabs appear as escapes.
std::string shown_path(std::string_view path);

/// One line of a file, controls made inert and cut at `bytes_max` with a note of what is missing.
std::string shown_line(std::string_view line, size_t bytes_max);

/// "1 line", "2 lines".
std::string counted(size_t n, std::string_view noun);

}  // namespace sable::tools
