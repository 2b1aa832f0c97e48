#include "tests/support/mini_checkpoint.h"

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <unistd.h>

#include "base/digest.h"

namespace sable::test {

namespace fs = std::filesystem;

fs::path oracle_folder() { return fs::path(SABLE_SOURCE_DIR) / "tests/golden/oracle"; }

fs::path mini_checkpoint(const std::string& arguments) {
  const fs::path script = oracle_folder() / "make_mini.py";
  std::ifstream in(script, std::ios::binary);
  const std::string source{std::istreambuf_iterator<char>(in), {}};
  const fs::path root = fs::path(SABLE_MINI_FOLDER);
  const fs::path folder = root / to_hex(sha256(source + '\n' + arguments)).substr(0, 16);
  if (fs::exists(folder)) return folder;
  for (const char c : arguments) {
    const bool harmless = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                          std::string(" -_./,=").find(c) != std::string::npos;
    if (!harmless) throw std::runtime_error("make_mini arguments: unexpected character");
  }
  fs::create_directories(root);
  const fs::path fresh = root / ("writing-" + std::to_string(::getpid()));
  fs::remove_all(fresh);
  const std::string command = std::string(SABLE_PYTHON) + " '" + script.string() + "' '" +
                              fresh.string() + "' " + arguments + " 2>/dev/null";
  if (std::system(command.c_str()) != 0)
    throw std::runtime_error("make_mini.py failed: " + command);
  std::error_code lost_race;
  fs::rename(fresh, folder, lost_race);
  if (lost_race) fs::remove_all(fresh);
  return folder;
}

}  // namespace sable::test
