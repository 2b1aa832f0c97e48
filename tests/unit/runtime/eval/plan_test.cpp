// Which tasks an evaluation is asked for.
#include "runtime/eval/plan.h"

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::runtime;

TEST_CASE("families are taken in turn, each once, and all of them when none is named") {
  const auto plan = plan_tasks({"set", "find", "set"}, 2, false);
  REQUIRE(plan);
  REQUIRE(plan->size() == 4);
  CHECK((*plan)[0].family == "set");
  CHECK((*plan)[1].family == "find");
  CHECK((*plan)[2].family == "set");
  CHECK((*plan)[2].number == 1);
  const auto all = plan_tasks({}, 3, false);
  REQUIRE(all);
  CHECK(all->size() == 3 * evaluation::families().size());
}

TEST_CASE("a folder's tasks are taken once, beside families") {
  const test::TemporaryFolder folder;
  folder.write("mine/one/instruction.md", "Do it.");
  folder.write("mine/one/check.sh", "true\n");
  folder.write("mine/one/repository/a.txt", "");
  const auto plan = plan_tasks({(folder / "mine").string(), "find"}, 2, false);
  REQUIRE(plan);
  REQUIRE(plan->size() == 3);
  CHECK(plan->back().family == "mine");
  REQUIRE(plan->back().folder);
  CHECK(plan->back().folder->name == "one");
}

TEST_CASE("an unknown family is named, with the nearest one") {
  const auto near = plan_tasks({"fnd"}, 1, false);
  REQUIRE_FALSE(near);
  CHECK(near.error().message.find("did you mean find?") != std::string::npos);
  const auto far = plan_tasks({"xyzzy"}, 1, false);
  REQUIRE_FALSE(far);
  CHECK(far.error().message.find("families: find, rename") != std::string::npos);
  CHECK_FALSE(plan_tasks({"./nowhere"}, 1, false));
}

TEST_CASE("on real code, families that make their own code are left out, and refused by name") {
  const auto all = plan_tasks({}, 1, true);
  REQUIRE(all);
  CHECK(all->size() == 5);
  const auto fix = plan_tasks({"fix"}, 1, true);
  REQUIRE_FALSE(fix);
  CHECK(fix.error().message.find("find, rename, set, add and report") != std::string::npos);
}
