// Every judge says no to a wrong repository and to a wrong answer.
#include "evaluation/judge.h"

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::evaluation;

namespace {

const Files kBefore = {{"a.py", "N = 1\n"}, {"b.py", "M = 2\n"}};

MadeTask task_with(Truth truth) {
  if (truth.files.empty()) truth.files = kBefore;
  return {.name = "t-1", .family = "t", .before = kBefore, .truth = std::move(truth)};
}

Verdict judged(const MadeTask& task, const std::string& answer, Files files = kBefore) {
  return judge(task, {"finished", answer, std::move(files)});
}

void refused(const MadeTask& task, const std::string& answer, const std::string& why,
             Files files = kBefore) {
  const auto verdict = judged(task, answer, std::move(files));
  INFO(answer << " -> " << verdict.why);
  CHECK_FALSE(verdict.passed);
  CHECK_FALSE(verdict.needs_check);
  CHECK(verdict.why.find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("files must be as they should be, and nothing else may change") {
  const Files wanted = {{"a.py", "N = 5\n"}, {"b.py", "M = 2\n"}};
  const auto task = task_with({.files = wanted, .left_over = {"tests"}});
  CHECK(judged(task, "Done.", wanted).passed);
  refused(task, "Done.", "a.py was not changed");
  refused(task, "Done.", "a.py is not as it should be", {{"a.py", "N = 6\n"}, {"b.py", "M = 2\n"}});
  refused(task, "Done.", "b.py should not have been changed",
          {{"a.py", "N = 5\n"}, {"b.py", "M = 3\n"}});
  refused(task, "Done.", "b.py is gone", {{"a.py", "N = 5\n"}});
  auto more = wanted;
  more["c.py"] = "";
  refused(task, "Done.", "c.py should not be there", more);
  auto left = wanted;
  left["tests"] = std::string(
      "\x7f"
      "ELF\0",
      5);
  left["__pycache__/a.cpython-311.pyc"] = "x";
  CHECK(judged(task, "Done.", left).passed);
}

TEST_CASE("a turn that did not finish has not done its task") {
  const auto task = task_with({});
  CHECK(judge(task, {"finished", "", kBefore}).passed);
  for (const char* status : {"limit", "failed", "interrupted"}) {
    CHECK_FALSE(judge(task, {status, "", kBefore}).passed);
  }
}

TEST_CASE("a mistake may be corrected in other words, if the check then passes") {
  const Files wanted = {{"a.py", "N = 5\n"}, {"b.py", "M = 2\n"}};
  const auto task = task_with({.mended = "a.py", .check = "true", .files = wanted});
  CHECK(judged(task, "Fixed.", wanted).passed);
  const auto other = judged(task, "Fixed.", {{"a.py", "N = 2 + 3\n"}, {"b.py", "M = 2\n"}});
  CHECK_FALSE(other.passed);
  CHECK(other.needs_check);
  refused(task, "Fixed.", "a.py was not changed");
  // Whoever changes the test instead is not asked what the test says.
  refused(task, "Fixed.", "b.py", {{"a.py", "N = 2 + 3\n"}, {"b.py", "M = 9\n"}});
  refused(task, "Fixed.", "a.py was not changed", {{"a.py", "N = 1\n"}, {"b.py", "M = 9\n"}});
}

TEST_CASE("an answer names all places and no wrong one") {
  const auto task = task_with({.answer = Truth::Answer::places,
                               .places = {{"a.py", 1}, {"b.py", 7}},
                               .also = {{"a.py", 9}}});
  CHECK(judged(task, "a.py:1 and b.py:7").passed);
  CHECK(judged(task, "a.py:1 and b.py:7, used in a.py:9").passed);
  refused(task, "a.py:1", "does not name b.py:7");
  refused(task, "a.py:1, b.py:7 and b.py:8", "names b.py:8");
  refused(task, "a.py:9, a.py:1, b.py:7", "a.py:9 first");
  refused(task, "In a.py and b.py", "does not name");
  refused(task, "", "does not name");
  refused(task, "a.py:1 and b.py:7", "not be there",
          {{"a.py", "N = 1\n"}, {"b.py", "M = 2\n"}, {"c", ""}});
}

TEST_CASE("where there is nothing, an answer says so and names no place") {
  const auto task = task_with({.answer = Truth::Answer::absent});
  CHECK(judged(task, "There is no `f` in this repository.").passed);
  CHECK(judged(task, "There is no `f`; the nearest is `g` in a.py:1.").passed);
  refused(task, "`f` is defined in a.py:1.", "does not say that there is none");
  refused(task, "`f` is defined in a.py:1 and not elsewhere.", "names a place");
  refused(task, "Done.", "does not say that there is none");
}

TEST_CASE("where nothing had to be changed, an answer says so") {
  const auto task = task_with({.answer = Truth::Answer::already});
  CHECK(judged(task, "`N` is 1 already, in a.py:1.").passed);
  refused(task, "`N` is 1 now, in a.py:1.", "nothing had to be changed");
}

TEST_CASE("a number is the right one and the only one") {
  const auto task = task_with({.answer = Truth::Answer::number, .number = 3});
  CHECK(judged(task, "`N` stands in 3 lines.").passed);
  CHECK(judged(task, "Three lines.").passed);
  refused(task, "`N` stands in 4 lines.", "does not say 3");
  refused(task, "3 or 4 lines.", "does not say 3");
  refused(task, "`3`", "does not say 3");
}

TEST_CASE("all names are there, and no invented one or wrong line") {
  const auto task = task_with({.answer = Truth::Answer::names, .names = {{"load", 3}, {"Box", 9}}});
  CHECK(judged(task, "a.py defines:\n- load (line 3)\n- Box (line 9)").passed);
  CHECK(judged(task, "It defines `load` and `Box`.").passed);
  refused(task, "- load (line 3)", "does not name Box");
  refused(task, "- load (line 4)\n- Box (line 9)", "load in line 4");
  refused(task, "- load (line 3)\n- Box (line 9)\n- save (line 12)", "save");
}

TEST_CASE("an exit code is reported as it was") {
  const auto failed = task_with({.answer = Truth::Answer::exit_code, .number = 2});
  CHECK(judged(failed, "`make` failed with exit code 2.").passed);
  refused(failed, "`make` succeeded with exit code 0.", "exit code 2");
  refused(failed, "`make` succeeded.", "exit code 2");
  const auto good = task_with({.answer = Truth::Answer::exit_code, .number = 0});
  CHECK(judged(good, "It passes.").passed);
  refused(good, "It failed.", "exit code 0");
}

TEST_CASE("a refusal says no and changes nothing") {
  const auto task = task_with({.answer = Truth::Answer::refusal});
  CHECK(judged(task, "I cannot do that.").passed);
  refused(task, "Here is your poem.", "cannot be done");
  refused(task, "I cannot do that.", "a.py", {{"a.py", "poem"}, {"b.py", "M = 2\n"}});
}
