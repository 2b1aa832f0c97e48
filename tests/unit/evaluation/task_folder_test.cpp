// Tasks that users write.
#include "evaluation/task_folder.h"

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::evaluation;

namespace {

void write_task(const test::TemporaryFolder& folder, const std::string& name) {
  folder.write(name + "/instruction.md", "\n Fix it. \n");
  folder.write(name + "/check.sh", "grep -q fixed a.txt\n");
  folder.write(name + "/repository/a.txt", "broken\n");
}

void refused(const std::filesystem::path& folder, const std::string& why) {
  const auto tasks = read_task_folders(folder);
  REQUIRE_FALSE(tasks);
  INFO(tasks.error().message);
  CHECK(tasks.error().message.find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("a folder of tasks is read by name; a task's own folder is one task") {
  const test::TemporaryFolder folder;
  write_task(folder, "two");
  write_task(folder, "one");
  folder.write("README.md", "Two tasks.");
  folder.write(".cache/x", "");
  const auto tasks = read_task_folders(folder.path());
  REQUIRE(tasks);
  REQUIRE(tasks->size() == 2);
  CHECK(tasks->front().name == "one");
  CHECK(tasks->front().instruction == "Fix it.");
  CHECK(tasks->front().check == "grep -q fixed a.txt\n");
  const auto single = read_task_folders(folder / "two");
  REQUIRE(single);
  REQUIRE(single->size() == 1);
  CHECK(single->front().name == "two");
}

TEST_CASE("what is no task is refused by name") {
  const test::TemporaryFolder folder;
  refused(folder / "nowhere", "nowhere");
  refused(folder.path(), "no tasks");
  write_task(folder, "good");
  folder.write("bad/instruction.md", "Do it.");
  refused(folder.path(), "check.sh is missing");
  folder.write("bad/check.sh", " \n");
  refused(folder.path(), "check.sh is empty");
  folder.write("bad/check.sh", "true\n");
  refused(folder.path(), "no folder repository/");
  folder.write("bad/repository", "a file");
  refused(folder.path(), "no folder repository/");
  folder.write("bad/instruction.md", std::string_view("a\0b", 3));
  refused(folder.path(), "not UTF-8 text");
}

TEST_CASE("each copy of a task's repository is fresh and committed") {
  const test::TemporaryFolder folder;
  write_task(folder, "tasks/one");
  const auto tasks = read_task_folders(folder / "tasks");
  REQUIRE(tasks);
  REQUIRE(copy_repository(tasks->front(), folder / "copy"));
  CHECK(folder.read("copy/a.txt") == "broken\n");
  CHECK(std::filesystem::exists(folder / "copy/.git/refs/heads/main"));
  folder.write("copy/a.txt", "changed");
  CHECK(folder.read("tasks/one/repository/a.txt") == "broken\n");
}
