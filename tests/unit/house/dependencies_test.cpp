// Reads our #include lines: dependencies run one way, and only through doors.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace fs = std::filesystem;

namespace {

// What each part may include besides itself.
const std::map<std::string, std::set<std::string>> kMayUse = {
    {"base", {}},
    {"sandbox", {"base"}},
    {"memory", {"base"}},
    {"inference", {"base"}},
    {"tools", {"sandbox", "base"}},
    {"agent", {"tools", "memory", "inference", "sandbox", "base"}},
    {"evaluation", {"agent", "tools", "sandbox", "base"}},
    {"runtime", {"evaluation", "agent", "tools", "memory", "inference", "sandbox", "base"}},
};

struct Include {
  fs::path file;
  int line;
  std::string target;
};

std::vector<Include> includes_below(const fs::path& folder) {
  // In quotes: ours. In angle brackets: libraries, unless it names one of our parts.
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<\"])([^>\"]+)[>\"])");
  std::vector<Include> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp" && extension != ".c" && extension != ".cu")
      continue;
    std::ifstream in(entry.path());
    std::string text;
    for (int line = 1; std::getline(in, text); ++line) {
      std::smatch match;
      if (!std::regex_search(text, match, kInclude)) continue;
      const std::string target = match[2];
      const bool ours = kMayUse.contains(target.substr(0, target.find('/')));
      if (match[1] == "\"" || (ours && target.find('/') != std::string::npos)) {
        found.push_back({entry.path(), line, target});
      }
    }
  }
  return found;
}

}  // namespace

TEST_CASE("dependencies run one way, and other parts are entered by their door") {
  const fs::path root = SABLE_SOURCE_DIR;
  size_t n_read = 0;
  for (const auto& [part, allowed] : kMayUse) {
    for (const auto& include : includes_below(root / part)) {
      ++n_read;
      INFO(include.file.string() << ":" << include.line << " includes " << include.target);
      const auto slash = include.target.find('/');
      REQUIRE(slash != std::string::npos);  // "part/file.h", never a bare or relative name
      const std::string other = include.target.substr(0, slash);
      CHECK(fs::exists(root / include.target));
      if (other == part) continue;
      CHECK(allowed.count(other) == 1);
      if (other != "base") CHECK(include.target == other + "/" + other + ".h");
    }
  }
  CHECK(n_read > 500);
}
