// Real code as it lies in a folder: what its lines show beyond doubt, and nothing else.
#include "evaluation/real_code.h"

#include <algorithm>
#include <fstream>

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::evaluation;

namespace {

MadeFile file_of(std::string path, std::vector<std::string> lines) {
  return {std::move(path), std::move(lines)};
}

template <class T>
std::vector<std::string> names_of(const std::vector<T>& things) {
  std::vector<std::string> names;
  for (const T& thing : things) names.push_back(thing.name);
  return names;
}

using Names_ = std::vector<std::string>;

void put(const test::TemporaryFolder& folder, const std::string& path, const std::string& text) {
  const auto file = folder / path;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace

TEST_CASE("definitions in C are those that one line shows") {
  MadeRepository repository{
      .name = "p",
      .language = Language::c,
      .files = {file_of("a.c", {"#define LIMIT 30",                       // 1
                                "#define MASK 0x30",                      // no plain number
                                "#define TEXT \"two words\"",             // 3
                                "#define CALL(x) (x)",                    // a macro
                                "static int",                             //
                                "odd_style(int a)",                       // no type on its line
                                "{",                                      //
                                "}",                                      //
                                "static char *grow(char *at, int n) {",   // 9
                                "  return shrink(at, n);",                // 10
                                "}",                                      //
                                "int declared(int a);",                   // a declaration
                                "struct point {",                         // 13
                                "};",                                     //
                                "unsigned long total(void)",              // 15
                                "{",                                      //
                                "  char *p = grow(0, LIMIT); /* TODO */"  // 17
                                "}"}),
                file_of("a.h", {"char *grow(char *at, int n);"})}};
  find_definitions(repository);
  CHECK(names_of(repository.functions) == Names_{"grow", "total"});
  CHECK(names_of(repository.constants) == Names_{"LIMIT", "TEXT"});
  CHECK(names_of(repository.types) == Names_{"point"});
  REQUIRE(repository.functions.size() == 2);
  CHECK(repository.functions[0].at.line == 9);
  CHECK(repository.functions[1].at.line == 15);
  REQUIRE(repository.functions[0].calls.size() == 1);
  CHECK(repository.functions[0].calls[0].line == 17);
  CHECK(repository.constants[1].is_text);
  CHECK(repository.constants[1].value == "\"two words\"");
  REQUIRE(repository.todos.size() == 1);
  CHECK(repository.todos[0].line == 17);
}

TEST_CASE("definitions in Python are those at the left margin") {
  MadeRepository repository{
      .name = "p",
      .language = Language::python,
      .files = {file_of("a.py", {"SIZE = 12", "lower = 12", "KINDS = [", "    \"a\",", "    \"b\",",
                                 "]", "MIXED = [", "    1,", "]",
                                 "def outer(a):", "    def inner():", "        return outer(1)",
                                 "class Thing(Base):", "    def method(self):", "        pass"})}};
  find_definitions(repository);
  CHECK(names_of(repository.functions) == Names_{"outer"});
  CHECK(names_of(repository.constants) == Names_{"SIZE"});
  CHECK(names_of(repository.types) == Names_{"Thing"});
  CHECK(names_of(repository.lists) == Names_{"KINDS"});
  CHECK(repository.lists.at(0).entries == Names_{"a", "b"});
}

TEST_CASE("a name that is defined twice is none") {
  MadeRepository repository{.name = "p",
                            .language = Language::python,
                            .files = {file_of("a.py", {"def one(a):", "    pass"}),
                                      file_of("b.py", {"def one(a):", "    pass", "def two(a):"})}};
  find_definitions(repository);
  CHECK(names_of(repository.functions) == Names_{"two"});
}

TEST_CASE("repositories of real code hold files as they are, of one package and language") {
  const test::TemporaryFolder folder;
  put(folder, "one/src/a.c", "int first_function(int a) {\n  return a;\n}\n");
  put(folder, "one/src/b.c", "int second_function(int a) {\n  return first_function(a);\n}\n");
  put(folder, "one/tool.py", "def third(a):\n    return a\n");
  put(folder, "two/b.py", "def fourth(a):\n    return a\n");
  put(folder, "two/long.py", "x = \"" + std::string(400, 'x') + "\"\n");
  put(folder, "two/binary.py", std::string("\xff\xfe\n", 3));
  const auto code = RealCode::read(folder.path());
  REQUIRE(code);
  REQUIRE(code->packages().size() == 2);
  CHECK(code->packages()[0].files.size() == 3);
  CHECK(code->packages()[1].files.size() == 1);
  CHECK(code->packages()[1].n_left_out == 2);
  Random random(1);
  Names names(Split::test, random);
  for (int i = 0; i < 50; ++i) {
    const auto repository = code->repository({}, names, random);
    REQUIRE(repository);
    for (const MadeFile& file : repository->files) {
      CHECK(file.path.ends_with(".py") == (repository->language == Language::python));
      const auto& all = code->packages()[repository->name == "one" ? 0 : 1].files;
      CHECK(std::any_of(all.begin(), all.end(), [&](const MadeFile& known) {
        return known.path == file.path && known.lines == file.lines;
      }));
    }
  }
}

TEST_CASE("a package of which nothing can be used is named") {
  const test::TemporaryFolder folder;
  put(folder, "good/a.py", "def third(a):\n    return a\n");
  put(folder, "bad/readme.txt", "nothing\n");
  const auto code = RealCode::read(folder.path());
  REQUIRE_FALSE(code);
  CHECK(code.error().message.find("bad") != std::string::npos);
  CHECK_FALSE(RealCode::read(folder / "good"));
  CHECK_FALSE(RealCode::read(folder / "nowhere"));
}
