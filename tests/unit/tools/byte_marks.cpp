#include "tests/unit/tools/byte_marks.h"

#include <utility>
#include <vector>

namespace sable {

std::string bytes_of_marks(std::string line) {
  static const std::vector<std::pair<std::string, std::string>> kMarks = {
      {"<CR>", "\r"}, {"<TAB>", "\t"}, {"<BOM>", "\xEF\xBB\xBF"}, {"<NUL>", std::string(1, '\0')}};
  for (const auto& [mark, bytes] : kMarks) {
    for (size_t at; (at = line.find(mark)) != std::string::npos;)
      line.replace(at, mark.size(), bytes);
  }
  for (size_t at; (at = line.find("<x")) != std::string::npos && line.substr(at).size() >= 5;) {
    line.replace(at, 5,
                 std::string(1, static_cast<char>(std::stoi(line.substr(at + 2, 2), nullptr, 16))));
  }
  return line;
}

}  // namespace sable
