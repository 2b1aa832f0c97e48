// The cases of edits.txt, and what a single edit cannot show: repeated failures, missing files.
#include <fstream>
#include <map>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/text.h"
#include "tests/unit/tools/byte_marks.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;

namespace {

struct EditCase {
  std::string name;
  int line = 0;
  std::map<std::string, std::string> sections;
  bool has(const std::string& section) const { return sections.contains(section); }
};

std::vector<EditCase> read_edits() {
  std::ifstream in(std::string(SABLE_SOURCE_DIR) + "/tests/unit/tools/edits.txt");
  std::vector<EditCase> cases;
  std::string section;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("== ")) {
      cases.push_back({.name = line.substr(3), .line = number, .sections = {}});
    } else if (line[0] == '|') {
      std::string bytes = bytes_of_marks(line.substr(1)) + "\n";
      const size_t end = bytes.find("<EOF>");
      if (end != std::string::npos) bytes.resize(end);
      cases.back().sections[section] += bytes;
    } else {
      section = line;
      cases.back().sections[section];
    }
  }
  return cases;
}

std::string trimmed(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

TEST_CASE("awkward edits give the right result or a clear refusal, never a wrong write") {
  const auto cases = read_edits();
  CHECK(cases.size() >= 60);
  for (const auto& edit : cases) {
    INFO("edits.txt:" << edit.line << ": " << edit.name);
    for (const auto& [section, text] : edit.sections) {
      const std::vector<std::string> known = {"file", "read",   "meanwhile", "old", "new",
                                              "all",  "result", "refused",   "says"};
      INFO("unknown section " << section);
      REQUIRE(std::find(known.begin(), known.end(), section) != known.end());
    }
    REQUIRE(edit.has("result") != edit.has("refused"));
    test::ToolFixture at;
    at.folder.write("f.txt", edit.sections.at("file"));
    if (edit.has("read")) REQUIRE(at.call("read_file", {{"path", "f.txt"}}).ok);
    if (edit.has("meanwhile")) at.folder.write("f.txt", edit.sections.at("meanwhile"));
    const std::string before = at.folder.read("f.txt");
    Json arguments = {{"path", "f.txt"},
                      {"old_text", edit.sections.at("old")},
                      {"new_text", edit.sections.at("new")}};
    if (edit.has("all")) arguments["replace_all"] = true;
    const auto outcome = at.call("edit_file", arguments);
    INFO(outcome.text);
    CHECK(is_utf8(outcome.text));
    if (edit.has("refused")) {
      CHECK_FALSE(outcome.ok);
      CHECK(at.folder.read("f.txt") == before);
      CHECK(outcome.changes.empty());
      CHECK(outcome.text.find(trimmed(edit.sections.at("refused"))) != std::string::npos);
    } else {
      CHECK(outcome.ok);
      CHECK(at.folder.read("f.txt") == edit.sections.at("result"));
      REQUIRE(outcome.changes.size() == 1);
      CHECK(outcome.changes[0].before == before);
      CHECK(outcome.changes[0].after == edit.sections.at("result"));
    }
    if (edit.has("says")) {
      CHECK(outcome.text.find(trimmed(edit.sections.at("says"))) != std::string::npos);
    }
  }
}

TEST_CASE("a second identical failure is broken out of, until the file changes") {
  test::ToolFixture at;
  at.folder.write("f", "int compute(int a);\n");
  const Json edit = {{"path", "f"}, {"old_text", "int compute(int b);\n"}, {"new_text", "x\n"}};
  const auto first = at.call("edit_file", edit);
  CHECK_FALSE(first.ok);
  CHECK(first.text.find("failed before") == std::string::npos);
  const auto second = at.call("edit_file", edit);
  CHECK(second.text.find("failed before (2 times now)") != std::string::npos);
  CHECK(second.text.find("start_line=1 and end_line=1") != std::string::npos);
  at.folder.write("f", "int compute(int b, int c);\n");
  CHECK(at.call("edit_file", edit).text.find("failed before") == std::string::npos);
}

TEST_CASE("an edit of a file that is not there names a similar one") {
  test::ToolFixture at;
  at.folder.write("src/parser.cpp", "x\n");
  const auto outcome =
      at.call("edit_file", {{"path", "src/parsr.cpp"}, {"old_text", "x"}, {"new_text", "y"}});
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.text.find("did you mean src/parser.cpp?") != std::string::npos);
}

TEST_CASE("an edit through a link inside the workspace changes the file it leads to") {
  test::ToolFixture at;
  at.folder.write("real.md", "old\n");
  std::filesystem::create_symlink("real.md", at.folder / "link.md");
  const auto outcome =
      at.call("edit_file", {{"path", "link.md"}, {"old_text", "old"}, {"new_text", "new"}});
  CHECK(outcome.ok);
  CHECK(at.folder.read("real.md") == "new\n");
  CHECK(std::filesystem::is_symlink(at.folder / "link.md"));
  CHECK(outcome.changes.at(0).path == "real.md");
}

TEST_CASE("an edit keeps the promise of bounded time on repetitive text") {
  test::ToolFixture at;
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "aaaa\n";
  at.folder.write("f", lines);
  const auto outcome =
      at.call("edit_file",
              {{"path", "f"}, {"old_text", lines.substr(0, 250'000) + "b\n"}, {"new_text", "c\n"}});
  CHECK_FALSE(outcome.ok);
  CHECK(at.folder.read("f") == lines);
}
