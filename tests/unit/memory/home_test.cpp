#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

void make_small_home(const fs::path& home) {
  auto store = open_store(home);
  auto lease = must(store->create_session({.title = "x"}));
  must(store->append(*lease, notes(2, 5)));
}

Error refusal(const fs::path& home) {
  auto store = Store::open(home);
  REQUIRE(!store);
  return store.error();
}

unsigned mode_of(const fs::path& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777u;
}

}  // namespace

TEST_CASE("a home is made private, whatever the umask, and an open one is closed to others") {
  TemporaryFolder folder;
  const fs::path home = folder / "state/sable";
  const auto old = ::umask(0);
  make_small_home(home);
  ::umask(old);
  auto store = open_store(home);
  auto lease = must(store->create_session({.title = "x"}));
  for (const auto& entry : fs::recursive_directory_iterator(home)) {
    INFO(entry.path().string());
    CHECK(mode_of(entry.path()) == (entry.is_directory() ? 0700u : 0600u));
  }
  CHECK(mode_of(home) == 0700u);
  lease.reset();
  store.reset();
  ::chmod(home.c_str(), 0755);
  open_store(home);
  CHECK(mode_of(home) == 0700u);
}

TEST_CASE("a clean stop leaves no write-ahead log behind") {
  TemporaryFolder home;
  make_small_home(home.path());
  CHECK(fs::exists(home / "sable.db"));
  CHECK(!fs::exists(home / "sable.db-wal"));
  CHECK(fs::is_empty(home / "locks"));
}

TEST_CASE("commits find room in the write-ahead log, and what a crash leaves of it is no event") {
  TemporaryFolder folder;
  const auto home = folder / "home", crashed = folder / "crashed";
  auto store = open_store(home);
  auto lease = must(store->create_session({.title = "grows"}));
  uintmax_t length = 0;
  size_t n_longer = 0;
  for (int i = 2; i <= 100; ++i) {
    must(store->append(*lease, {note(i)}));
    const auto now = std::filesystem::file_size(home / "sable.db-wal");
    n_longer += now != length;
    length = now;
  }
  CHECK(n_longer < 30);  // not at every commit
  std::filesystem::copy(home, crashed, std::filesystem::copy_options::recursive);
  CHECK(must(open_store(crashed)->read(lease->session(), 1, 1000)).size() == 100);
  CHECK(check(crashed)->problems.empty());
}

TEST_CASE("a database of a newer version or of another program is refused and left as it is") {
  TemporaryFolder home;
  make_small_home(home.path());
  tamper(home.path(), "PRAGMA user_version=99");
  auto error = refusal(home.path());
  CHECK(error.code == ErrorCode::unsupported);
  CHECK(error.message.find("newer") != std::string::npos);
  tamper(home.path(), "PRAGMA user_version=3; PRAGMA application_id=7");
  CHECK(refusal(home.path()).code == ErrorCode::unsupported);
  tamper(home.path(), "PRAGMA application_id=1398891116");
  open_store(home.path());

  TemporaryFolder other;
  tamper(other.path(), "CREATE TABLE t(x)");
  CHECK(refusal(other.path()).code == ErrorCode::unsupported);
}

TEST_CASE("a schema that somebody added to is refused") {
  TemporaryFolder home;
  make_small_home(home.path());
  const char* additions[] = {
      "CREATE TRIGGER evil AFTER INSERT ON event BEGIN DELETE FROM session; END",
      "CREATE VIEW v AS SELECT 1", "CREATE TABLE t(x)", "CREATE INDEX i ON event(type)"};
  const char* removals[] = {"DROP TRIGGER evil", "DROP VIEW v", "DROP TABLE t", "DROP INDEX i"};
  for (size_t i = 0; i < std::size(additions); ++i) {
    tamper(home.path(), additions[i]);
    CHECK(refusal(home.path()).code == ErrorCode::corrupt);
    tamper(home.path(), removals[i]);
    open_store(home.path());
  }
  tamper(home.path(), "DROP TRIGGER event_is_never_deleted");
  CHECK(refusal(home.path()).code == ErrorCode::corrupt);
}

TEST_CASE("a file that is no database is refused") {
  TemporaryFolder home;
  home.write("sable.db", std::string(8192, 'x'));
  CHECK(refusal(home.path()).code == ErrorCode::corrupt);
  TemporaryFolder folder;
  fs::create_directory(folder / "sable.db");
  CHECK(!Store::open(folder.path()));
}

TEST_CASE("a database behind a symbolic link is refused") {
  TemporaryFolder real, home;
  make_small_home(real.path());
  fs::create_symlink(real / "sable.db", home / "sable.db");
  CHECK(!Store::open(home.path()));
}

TEST_CASE("a changed, missing or exchanged row is noticed when it is read") {
  const char* changes[] = {
      "UPDATE event SET data = '{\"number\":9}' WHERE key & 0xff = 3",
      "UPDATE event SET type = 'note.addex' WHERE key & 0xff = 3",
      "UPDATE event SET time = time + 1 WHERE key & 0xff = 3",
      "UPDATE event SET hash = zeroblob(32) WHERE key & 0xff = 3",
      "UPDATE event SET hash = x'00' WHERE key & 0xff = 3",
      "DELETE FROM event WHERE key & 0xff = 3",
      "DELETE FROM event WHERE key & 0xff = 5",
      "UPDATE event SET key = key + 1 WHERE key & 0xff = 5",
      "UPDATE session_view SET n_events = 6",
      "UPDATE session_view SET head = zeroblob(32)",
  };
  for (const char* change : changes) {
    INFO(change);
    TemporaryFolder home;
    make_small_home(home.path());
    // The triggers are put back as they were, so that only the row tells.
    const std::string script =
        std::string(
            "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, "
            "'RAISE(ABORT,', 'max(1,') WHERE type = 'trigger';") +
        "PRAGMA writable_schema=RESET";
    tamper(home.path(), script.c_str());
    tamper(home.path(), change);
    tamper(home.path(),
           "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, 'max(1,', "
           "'RAISE(ABORT,') WHERE type = 'trigger'; PRAGMA writable_schema=RESET");
    auto store = open_store(home.path());
    const auto id = must(store->list(1)).front().id;
    const auto read = await(store->read(id, 1, 100));
    REQUIRE(!read);
    CHECK(read.error().code == ErrorCode::corrupt);
    CHECK(read.error().message.find("doctor --repair") != std::string::npos);
    CHECK(await(store->acquire(id)).error().code == ErrorCode::corrupt);
  }
}

TEST_CASE("a home that cannot be written is refused with a sentence", "[!mayfail]") {
  if (::geteuid() == 0) return;  // root writes everywhere
  TemporaryFolder home;
  ::chmod(home.path().c_str(), 0500);
  const auto error = refusal(home.path());
  ::chmod(home.path().c_str(), 0700);
  CHECK(error.code == ErrorCode::unsupported);
}
