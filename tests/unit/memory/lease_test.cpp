#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

TEST_CASE("a session has one owner at a time, and the refusal names it") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto other = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  const auto id = lease->session();
  for (auto* asker : {store.get(), other.get()}) {
    const auto refused = await(asker->acquire(id));
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::denied);
    CHECK(refused.error().message.find(std::to_string(::getpid())) != std::string::npos);
    CHECK(refused.error().message.find("fork") != std::string::npos);
  }
  CHECK(must(other->find(id)).owner_pid == ::getpid());
  lease.reset();
  CHECK(!must(other->find(id)).owner_pid);
  auto next = must(other->acquire(id));
  CHECK(next->last_seq() == 1);
  must(other->append(*next, notes(2, 2)));
  CHECK(await(other->acquire("s_0000000000")).error().code == ErrorCode::not_found);
}

TEST_CASE("a lease that lost its session cannot write any more") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto stale = must(store->create_session({.title = "x"}));
  // Somebody removes the lock file by hand, so that a second owner gets in.
  std::filesystem::remove(home.path() / "locks" / stale->session());
  auto fresh = must(store->acquire(stale->session()));
  CHECK(await(store->append(*stale, notes(2, 2))).error().code == ErrorCode::denied);
  must(store->append(*fresh, notes(2, 2)));
  const auto id = fresh->session();
  CHECK(must(store->read(id, 1, 10)).size() == 2);
  stale.reset();
  CHECK(await(store->acquire(id)).error().code == ErrorCode::denied);  // the fresh one still holds
}

TEST_CASE("a lease may outlive its store") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  const auto id = lease->session();
  store.reset();
  CHECK(lease->last_seq() == 1);
  lease.reset();
  store = open_store(home.path());
  CHECK(must(store->acquire(id))->session() == id);
}

TEST_CASE("acknowledged events that the database no longer holds are noticed by the next owner") {
  TemporaryFolder home, copy;
  std::string id;
  {
    auto store = open_store(home.path());
    id = must(store->create_session({.title = "x"}))->session();
  }
  std::filesystem::copy(home / "sable.db", copy / "sable.db");
  {
    auto store = open_store(home.path());
    auto lease = must(store->acquire(id));
    must(store->append(*lease, notes(2, 9)));
    // What a process leaves that dies now.
    std::filesystem::copy(home.path() / "locks" / id, copy / "lock");
  }
  std::filesystem::copy(copy / "sable.db", home / "sable.db",
                        std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy(copy / "lock", home.path() / "locks" / id);
  auto store = open_store(home.path());
  const auto refused = await(store->acquire(id));
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::corrupt);
  CHECK(refused.error().message.find("events 2 to 9") != std::string::npos);
  CHECK(await(store->acquire(id)).error().code == ErrorCode::corrupt);  // the witness stays
}
