// Repositories laid out, read back and committed.
#include "evaluation/files.h"

#include <filesystem>

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::evaluation;

TEST_CASE("what is laid out is read back, links too, and git's folder is left out") {
  const test::TemporaryFolder folder;
  const auto root = folder / "repository";
  const Files files = {{"a.py", "x = 1\n"}, {"deep/er/b.txt", std::string("\0\n", 2)}};
  REQUIRE(write_files(files, root));
  REQUIRE(commit_all(root));
  std::filesystem::create_symlink("a.py", root / "link");
  auto expected = files;
  expected["link"] = "-> a.py";
  const auto read = read_files(root);
  REQUIRE(read);
  CHECK(*read == expected);
  CHECK(std::filesystem::exists(root / ".git/refs/heads/main"));
}

TEST_CASE("a path that leads out of the folder is refused") {
  const test::TemporaryFolder folder;
  for (const char* path : {"../a", "/tmp/a", "a/../../b", ""}) {
    INFO(path);
    const auto written = write_files({{path, "x"}}, folder / "r");
    REQUIRE_FALSE(written);
    CHECK(written.error().code == ErrorCode::invalid_input);
  }
}
