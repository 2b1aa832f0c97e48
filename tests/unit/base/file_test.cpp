#include "base/file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable;

TEST_CASE("a file is written whole, with its mode, and nothing else is left") {
  test::TemporaryFolder folder;
  REQUIRE(write_file_atomically(folder / "a", "one", 0600));
  REQUIRE(write_file_atomically(folder / "a", "two", 0600));
  CHECK(read_file(folder / "a").value() == "two");
  struct stat info {};
  REQUIRE(::stat((folder / "a").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777u) == 0600u);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("what is not a regular file is refused, and a FIFO does not hang the reader") {
  test::TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK(read_file(folder / "fifo").error().code == ErrorCode::invalid_input);
  CHECK(read_file(folder / "absent").error().code == ErrorCode::not_found);
  CHECK(read_file("/dev/zero").error().code == ErrorCode::invalid_input);
}

TEST_CASE("a file over the limit is refused") {
  test::TemporaryFolder folder;
  folder.write("big", std::string(1000, 'x'));
  CHECK(read_file(folder / "big", 999).error().code == ErrorCode::exhausted);
  CHECK(read_file(folder / "big", 1000).has_value());
}
