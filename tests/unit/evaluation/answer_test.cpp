// Answers in many words, and the facts that are in them.
#include "evaluation/answer.h"

#include <catch2/catch.hpp>

using namespace sable::evaluation;

namespace {

const std::vector<std::string> kPaths = {"src/a.py", "a.py", "src/core/b.c", "b.h"};

using Places = std::vector<StatedPlace>;

Places places(const std::string& answer) { return places_in(answer, kPaths); }

}  // namespace

TEST_CASE("a place is found however it is written") {
  const Places wanted = {{"src/a.py", 3}};
  for (const char* answer :
       {"`f` is defined in src/a.py:3.", "It is in `src/a.py:3`.", "`src/a.py`:3", "./src/a.py:3",
        "It lives in src/a.py, line 3.", "See src/a.py (line 3).", "Line 3 of src/a.py defines it.",
        "On line 3 in `src/a.py`.", "src/a.py#L3", "**src/a.py**\n- line 3: def f()"}) {
    INFO(answer);
    CHECK(places(answer) == wanted);
  }
}

TEST_CASE("several places keep their files") {
  CHECK(places("Called in:\n- src/a.py:3\n- src/core/b.c:14") ==
        Places{{"src/a.py", 3}, {"src/core/b.c", 14}});
  CHECK(places("In src/a.py on lines 3, 5 and 9") ==
        Places{{"src/a.py", 3}, {"src/a.py", 5}, {"src/a.py", 9}});
  CHECK(places("src/a.py: line 3 and line 4; b.h: line 1") ==
        Places{{"src/a.py", 3}, {"src/a.py", 4}, {"b.h", 1}});
}

TEST_CASE("what is no place of a known file is none") {
  CHECK(places("xsrc/a.py:3").empty());
  CHECK(places("src/a.pyc:3").empty());
  CHECK(places("src/a.py.bak:3").empty());
  CHECK(places("other.py:3").empty());
  CHECK(places("src/a.py: three").empty());
  CHECK(places("src/a.py").empty());
  CHECK(places("line 3").empty());
  CHECK(places("").empty());
  CHECK(places("src/a.py:99999999999999999999999").size() == 1);  // no overflow
}

TEST_CASE("numbers outside of code and places count") {
  const auto numbers = [](const std::string& answer) { return numbers_in(answer, kPaths); };
  CHECK(numbers("`x12` stands in 4 lines.") == std::vector<int64_t>{4});
  CHECK(numbers("It occurs 4 times, first in src/a.py:31.") == std::vector<int64_t>{4});
  CHECK(numbers("It occurs four times.") == std::vector<int64_t>{4});
  CHECK(numbers("4 or 5").size() == 2);
  CHECK(numbers("value12 and 12value").empty());
  CHECK(numbers("There is no such line.") == std::vector<int64_t>{0});
}

TEST_CASE("an exit code is read from what was said about it") {
  CHECK(exit_code_in("`false` failed with exit code 1.") == 1);
  CHECK(exit_code_in("It exited with status 2: no such file") == 2);
  CHECK(exit_code_in("The command returned 7.") == 7);
  CHECK(exit_code_in("The exit code was 0.") == 0);
  CHECK(exit_code_in("`make` succeeded.") == 0);
  CHECK(exit_code_in("All tests pass.") == 0);
  CHECK_FALSE(exit_code_in("It did not succeed; the tests failed."));
  CHECK_FALSE(exit_code_in("I ran `sh -c 'exit 3'`."));
  CHECK_FALSE(exit_code_in("Done."));
}

TEST_CASE("a no is heard, and a yes is not taken for one") {
  CHECK(denial("There is no `f` in this repository.") == 9);
  CHECK(denial("I couldn't find it.") != std::string::npos);
  CHECK(denial("Nothing calls `f`.") == 0);
  CHECK(denial("`no` is defined in a.py") == std::string::npos);
  CHECK(denial("It is noted.") == std::string::npos);
  CHECK(refuses("I cannot do that."));
  CHECK(refuses("Sorry, I can\xe2\x80\x99t write poems."));
  CHECK(refuses("That is outside of what I do."));
  CHECK_FALSE(refuses("Roses are red, violets are blue."));
  CHECK_FALSE(refuses("Done: I wrote the poem."));
  CHECK(says_already("`N` is 3 already."));
  CHECK(says_already("The test passes. I changed nothing."));
  CHECK_FALSE(says_already("`N` is 3 now."));
}

TEST_CASE("a list's names come with their lines") {
  const auto names =
      listed_names("a.py defines:\n- read_all (line 3)\n* `Box`: a class\n2. N, line 9\nand more");
  REQUIRE(names.size() == 3);
  CHECK(names[0].name == "read_all");
  CHECK(names[0].line == 3);
  CHECK(names[1].name == "Box");
  CHECK(names[1].line == 0);
  CHECK(names[2].name == "N");
  CHECK(names[2].line == 9);
  CHECK(mentions("the Box is", "Box"));
  CHECK_FALSE(mentions("the Boxes are", "Box"));
}
