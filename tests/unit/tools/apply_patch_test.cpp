// The cases of patches.txt, and what a text cannot show: links, modes, sizes, what is put back.
#include <fstream>
#include <map>
#include <random>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/text.h"
#include "tests/unit/tools/byte_marks.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
namespace fs = std::filesystem;

namespace {

struct PatchSection {
  std::string kind, name, text;
};

struct PatchCase {
  std::string name;
  int line = 0;
  std::vector<PatchSection> sections;

  std::vector<const PatchSection*> all(const std::string& kind) const {
    std::vector<const PatchSection*> found;
    for (const auto& section : sections) {
      if (section.kind == kind) found.push_back(&section);
    }
    return found;
  }
};

std::vector<PatchCase> read_patches() {
  std::ifstream in(std::string(SABLE_SOURCE_DIR) + "/tests/unit/tools/patches.txt");
  std::vector<PatchCase> cases;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("== ")) {
      cases.push_back({.name = line.substr(3), .line = number, .sections = {}});
    } else if (line[0] == '|') {
      std::string bytes = bytes_of_marks(line.substr(1)) + "\n";
      if (bytes.ends_with("<EOF>\n")) bytes.resize(bytes.size() - 6);
      cases.back().sections.back().text += bytes;
    } else {
      const size_t space = line.find(' ');
      cases.back().sections.push_back(
          {line.substr(0, space),
           space == std::string::npos ? std::string() : bytes_of_marks(line.substr(space + 1)),
           {}});
    }
  }
  return cases;
}

/// Every file below the folder with its content.
std::map<std::string, std::string> files_below(const test::TemporaryFolder& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    const auto name = fs::relative(entry.path(), folder.path()).string();
    files[name] = entry.is_regular_file() ? folder.read(name) : "<folder or link>";
  }
  return files;
}

std::string update(const std::string& path, const std::string& hunk) {
  return "*** Begin Patch\n*** Update File: " + path + "\n" + hunk + "*** End Patch\n";
}

}  // namespace

TEST_CASE("patches give the right result or a clear refusal, never a wrong write") {
  const auto cases = read_patches();
  CHECK(cases.size() >= 60);
  for (const auto& patch : cases) {
    INFO("patches.txt:" << patch.line << ": " << patch.name);
    test::ToolFixture at;
    for (const auto& section : patch.sections) {
      if (section.kind == "file" || section.kind == "meanwhile") {
        at.folder.write(section.name, section.text);
      } else if (section.kind == "read") {
        REQUIRE(at.call("read_file", {{"path", section.name}}).ok);
      }
    }
    auto expected = files_below(at.folder);
    REQUIRE(patch.all("patch").size() == 1);
    const auto outcome = at.call("apply_patch", {{"patch", patch.all("patch")[0]->text}});
    INFO(outcome.text);
    CHECK(is_utf8(outcome.text));
    std::string wanted_text;
    for (const auto* section : patch.all("says")) wanted_text += section->text;
    if (const auto refused = patch.all("refused"); !refused.empty()) {
      CHECK_FALSE(outcome.ok);
      CHECK(outcome.changes.empty());
      wanted_text += refused[0]->text;
    } else {
      CHECK(outcome.ok);
      for (const auto* result : patch.all("result")) {
        for (auto folder = fs::path(result->name).parent_path(); !folder.empty();
             folder = folder.parent_path()) {
          expected[folder.string()] = "<folder or link>";
        }
        expected[result->name] = result->text;
      }
      for (const auto* gone : patch.all("gone")) expected.erase(gone->name);
    }
    CHECK(files_below(at.folder) == expected);
    for (const auto line : split_lines(wanted_text)) {
      CHECK(outcome.text.find(line) != std::string::npos);
    }
  }
}

TEST_CASE("what fails in the middle of several files puts those before it back") {
  test::ToolFixture at;
  at.folder.write("x", "one\n");
  at.folder.write("gone", "g\n");
  const auto before = files_below(at.folder);
  // The third file makes a folder where the second one is to stand; that shows only when it is put
  // there.
  const auto outcome = at.call("apply_patch", {{"patch",
                                                "*** Begin Patch\n*** Update File: x\n-one\n+two\n"
                                                "*** Delete File: gone\n"
                                                "*** Add File: a\n+file\n"
                                                "*** Add File: a/b/c\n+deep\n*** End Patch\n"}});
  INFO(outcome.text);
  CHECK_FALSE(outcome.ok);
  CHECK(files_below(at.folder) == before);
}

TEST_CASE("modes are kept by changes and moves, and set by git's headers") {
  test::ToolFixture at;
  at.folder.write("run.sh", "a\n");
  ::chmod((at.folder / "run.sh").c_str(), 0750);
  const auto mode_of = [&](const std::string& name) {
    struct stat info {};
    REQUIRE(::stat((at.folder / name).c_str(), &info) == 0);
    return info.st_mode & 07777u;
  };
  REQUIRE(at.call("apply_patch", {{"patch", update("run.sh", "-a\n+b\n")}}).ok);
  CHECK(mode_of("run.sh") == 0750);
  REQUIRE(at.call("apply_patch", {{"patch", update("run.sh", "*** Move to: bin/run.sh\n-b\n+c\n")}})
              .ok);
  CHECK(mode_of("bin/run.sh") == 0750);
  REQUIRE(
      at.call("apply_patch", {{"patch",
                               "diff --git a/t b/t\nnew file mode 100755\n--- /dev/null\n+++ b/t\n"
                               "@@ -0,0 +1 @@\n+x\n"}})
          .ok);
  CHECK(mode_of("t") == 0755);
}

TEST_CASE("a patch follows links inside the workspace and none that leads out") {
  test::ToolFixture at;
  test::TemporaryFolder outside;
  outside.write("secret", "one\n");
  at.folder.write("real", "one\n");
  fs::create_symlink("real", at.folder / "inner");
  fs::create_symlink(outside / "secret", at.folder / "outer");
  fs::create_directory_symlink(outside.path(), at.folder / "folder");
  CHECK(at.call("apply_patch", {{"patch", update("inner", "-one\n+two\n")}}).ok);
  CHECK(at.folder.read("real") == "two\n");
  CHECK(fs::is_symlink(at.folder / "inner"));
  for (const std::string path : {"outer", "folder/secret"}) {
    CHECK_FALSE(at.call("apply_patch", {{"patch", update(path, "-one\n+two\n")}}).ok);
    CHECK_FALSE(at.call("apply_patch", {{"patch", "*** Begin Patch\n*** Delete File: " + path +
                                                      "\n*** End Patch\n"}})
                    .ok);
  }
  CHECK_FALSE(
      at.call("apply_patch", {{"patch", "*** Begin Patch\n*** Add File: folder/x\n+x\n"}}).ok);
  CHECK(outside.read("secret") == "one\n");
  CHECK_FALSE(fs::exists(outside / "x"));
}

TEST_CASE("the same patch that failed is not tried a third time without being told") {
  test::ToolFixture at;
  at.folder.write("f", "one\n");
  const Json patch{{"patch", update("f", "-two\n+2\n")}};
  CHECK(at.call("apply_patch", patch).text.find("failed before") == std::string::npos);
  CHECK(at.call("apply_patch", patch).text.find("failed before (2 times now)") !=
        std::string::npos);
}

TEST_CASE("huge and repetitive patches are refused or applied in bounded time") {
  test::ToolFixture at;
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "aaaa\n";
  at.folder.write("f", lines);
  std::string hunk = "@@\n";
  for (int i = 0; i < 50'000; ++i) hunk += " aaaa\n";
  const auto slow = at.call("apply_patch", {{"patch", update("f", hunk + "-b\n+c\n")}});
  CHECK_FALSE(slow.ok);
  std::string many = "*** Begin Patch\n";
  for (int i = 0; i < 300; ++i) many += "*** Add File: f" + std::to_string(i) + "\n+x\n";
  const auto crowd = at.call("apply_patch", {{"patch", many}});
  CHECK_FALSE(crowd.ok);
  CHECK(crowd.text.find("300 files") != std::string::npos);
  const auto large = at.call("apply_patch", {{"patch", std::string(5 << 20, 'x')}});
  CHECK(large.text.find("more than the limit") != std::string::npos);
  CHECK(at.folder.read("f") == lines);
}

TEST_CASE("what unified_diff shows is what apply_patch makes of it") {
  std::mt19937 random(20'260'101);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  for (int round = 0; round < 300; ++round) {
    INFO("round " << round);
    const auto some_text = [&] {
      std::string text;
      for (unsigned i = 0, n = pick(30); i < n; ++i)
        text += std::string(1 + pick(3), "abc"[pick(3)]) + "\n";
      if (pick(4) == 0 && !text.empty()) text.pop_back();
      return text;
    };
    const std::string before = some_text();
    std::string after = before;
    for (unsigned i = 0, n = 1 + pick(3); i < n; ++i) {
      const size_t line = after.find('\n', pick(static_cast<unsigned>(after.size()) + 1));
      const size_t at = line == std::string::npos ? 0 : line + 1;
      if (pick(2) == 0) {
        after.insert(at, "new " + std::to_string(i) + "\n");
      } else {
        const size_t end = after.find('\n', at);
        after.erase(at, end == std::string::npos ? std::string::npos : end + 1 - at);
      }
    }
    if (before == after || before.empty() || after.empty()) continue;
    const auto diff = tools::unified_diff({.path = "f", .before = before, .after = after});
    INFO(diff);
    test::ToolFixture at;
    at.folder.write("f", before);
    const auto outcome = at.call("apply_patch", {{"patch", diff}});
    INFO(outcome.text);
    REQUIRE(outcome.ok);
    REQUIRE(at.folder.read("f") == after);
  }
}
