#include "runtime/server/token_file.h"

#include <sys/stat.h>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::runtime;

TEST_CASE("the token is made once, with mode 0600, and stays") {
  test::TemporaryFolder folder;
  const auto path = folder / "home/token";
  const auto first = load_or_create_token(path);
  REQUIRE(first);
  CHECK(first->size() == 64);
  struct stat info;
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(load_or_create_token(path).value() == *first);
  CHECK(load_or_create_token(folder / "other").value() != *first);
  size_t n_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "home")) {
    n_files += entry.exists() ? 1 : 0;
  }
  CHECK(n_files == 1);  // no temporary file is left
}

TEST_CASE("those who start at once get the same token") {
  test::TemporaryFolder folder;
  std::vector<std::string> tokens(8);
  std::vector<std::thread> threads;
  for (auto& token : tokens) {
    threads.emplace_back([&] { token = load_or_create_token(folder / "token").value_or(""); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& token : tokens) CHECK(token == tokens[0]);
  CHECK(tokens[0].size() == 64);
}

TEST_CASE("a token file that others can read, or that is no token, is refused") {
  test::TemporaryFolder folder;
  const auto path = folder.write("token", std::string(64, 'a') + "\n");
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  const auto open = load_or_create_token(path);
  REQUIRE_FALSE(open);
  CHECK(open.error().code == ErrorCode::denied);
  CHECK(open.error().message.find("chmod 600") != std::string::npos);
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(load_or_create_token(path).value() == std::string(64, 'a'));
  for (const std::string& content : {std::string(), std::string("short"), std::string(600, 'a'),
                                     std::string("with spaces in the token"),
                                     std::string("two-lines-of-text\nhere-and-there")}) {
    INFO(content);
    folder.write("token", content);
    CHECK_FALSE(load_or_create_token(path));
  }
}

TEST_CASE("secrets are equal only when they are") {
  CHECK(same_secret("abc", "abc"));
  CHECK_FALSE(same_secret("abd", "abc"));
  CHECK_FALSE(same_secret("ab", "abc"));
  CHECK_FALSE(same_secret("abcabc", "abc"));
  CHECK_FALSE(same_secret("", "abc"));
  CHECK_FALSE(same_secret("", ""));
}
