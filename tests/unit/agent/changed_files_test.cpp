#include "agent/changed_files.h"

#include <filesystem>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable::agent;

TEST_CASE("added, changed and removed files are found; .git and links are not followed") {
  sable::test::TemporaryFolder folder;
  folder.write("same", "1");
  folder.write("d/changed", "1");
  folder.write("removed", "1");
  folder.write(".git/index", "1");
  REQUIRE(::symlink("/etc", (folder / "link").c_str()) == 0);
  const auto before = scan_files(folder.path());
  folder.write("d/changed", "2");
  folder.write("new\nname", "1");
  folder.write(".git/index", "22");
  std::filesystem::remove(folder / "removed");
  const auto after = scan_files(folder.path());
  CHECK(changed_between(before, after) ==
        std::vector<std::string>{"d/changed", "new\nname", "removed"});
}

TEST_CASE("a scan that reached its bound claims nothing") {
  sable::test::TemporaryFolder folder;
  for (int i = 0; i < 10; ++i) folder.write(std::to_string(i), "");
  const auto before = scan_files(folder.path(), 5);
  CHECK_FALSE(before.complete);
  folder.write("new", "");
  CHECK(changed_between(before, scan_files(folder.path())).empty());
}
