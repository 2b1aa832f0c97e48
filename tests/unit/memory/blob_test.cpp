#include <sys/stat.h>

#include "base/digest.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

fs::path file_of(const fs::path& home, const std::string& locator) {
  const auto digest = locator.substr(locator.rfind(':') + 1);
  return home / "blobs" / digest.substr(0, 2) / digest;
}

}  // namespace

TEST_CASE("a blob is found by its content's digest") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  const std::string bytes("a\0b\xff", 4);
  const auto locator = must(store->put_blob(bytes));
  CHECK(locator == "blob:sha256:" + to_hex(sha256(bytes)));
  CHECK(must(store->put_blob(bytes)) == locator);
  CHECK(must(store->get_blob(locator)) == bytes);
  CHECK(must(store->get_blob(must(store->put_blob("")))).empty());
  struct stat info {};
  REQUIRE(::stat(file_of(home.path(), locator).c_str(), &info) == 0);
  CHECK((info.st_mode & 0777u) == 0600u);
}

TEST_CASE("a damaged blob is never returned, and storing it again heals it") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  const auto locator = must(store->put_blob("content"));
  home.write(fs::relative(file_of(home.path(), locator), home.path()).string(), "c0ntent");
  CHECK(await(store->get_blob(locator)).error().code == ErrorCode::corrupt);
  must(store->put_blob("content"));
  CHECK(must(store->get_blob(locator)) == "content");
}

TEST_CASE("a locator that is not one is refused") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  CHECK(await(store->get_blob("blob:sha256:" + std::string(64, '0'))).error().code ==
        ErrorCode::not_found);
  for (const std::string& bad :
       {std::string(), std::string("blob:sha256:"), "blob:sha256:" + std::string(64, 'g'),
        "blob:sha256:../../../../" + std::string(52, 'a'), "blob:sha256:" + std::string(65, '0'),
        "x blob:sha256:" + std::string(64, '0')}) {
    INFO(bad);
    CHECK(await(store->get_blob(bad)).error().code == ErrorCode::invalid_input);
  }
}

TEST_CASE("blobs go with the last session that names them") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto one = must(store->create_session({.title = "one"}));
  auto two = must(store->create_session({.title = "two"}));
  const auto shared = must(store->put_blob("shared"));
  const auto single = must(store->put_blob("single"));
  const auto pinned = must(store->put_blob("not yet named"));
  must(store->append(*one, {{"tool.outcome", Json{{"output", {shared, single}}}}}));
  must(store->append(*two, {{"tool.outcome", Json{{"output", "see " + shared + "!"}}}}));
  const auto first = one->session(), second = two->session();
  one.reset();
  two.reset();
  must(store->remove(first));
  CHECK(!fs::exists(file_of(home.path(), single)));
  CHECK(fs::exists(file_of(home.path(), shared)));
  must(store->remove(second));
  CHECK(!fs::exists(file_of(home.path(), shared)));
  CHECK(fs::exists(file_of(home.path(), pinned)));
}
