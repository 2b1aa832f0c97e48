// What removals and writers that were cut off leave, and that it goes.
#include <fstream>

#include "memory/checkpoint_folder.h"
#include "tests/support/made_up_state.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

size_t n_files_below(const fs::path& folder) {
  size_t n = 0;
  if (!fs::exists(folder)) return 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) n += entry.is_regular_file();
  return n;
}

std::string tag(const std::string& locator) { return locator.substr(locator.rfind(':') + 1); }

/// A session with everything that belongs to one, no longer owned.
struct Made {
  TemporaryFolder folder;
  fs::path home = folder / "home", root = folder / "root";
  std::string id;

  Made() {
    fs::create_directory(root);
    std::ofstream(root / "file") << "content";
    auto store = open_store(home);
    auto lease = must(store->create_session({.title = "x", .working_directory = root}));
    id = lease->session();
    const auto blob = must(store->put_blob("kept"));
    must(store->append(*lease, {{"note.added", Json{{"blob", blob}}}}));
    must(store->append(*lease, notes(3, 20)));
    auto files = FileCheckpoints::open(home, root);
    REQUIRE((files && (*files)->take(id)));
    auto cache = SnapshotStore::open(home, {.free_bytes_min = 0});
    MadeUpState state(made_up_tokens(300));
    REQUIRE((cache && (*cache)->save(id, state.stream(), state)));
  }

  void check_gone() const {
    CHECK(n_files_below(home / "blobs") == 0);
    CHECK(n_files_below(home / "locks") == 0);
    CHECK(checkpointed_sessions(home).empty());
    for (const auto& checkpoints : checkpoint_folders(home)) {
      CHECK(n_files_below(checkpoints / "objects") == 0);
    }
    auto cache = SnapshotStore::open(home, {.free_bytes_min = 0});
    REQUIRE(cache.has_value());
    CHECK((*cache)->usage()->n_snapshots == 0);
    CHECK(memory::check(home)->problems.empty());
    CHECK(memory::check(home)->n_events == 0);
  }
};

}  // namespace

TEST_CASE("a session that is removed takes everything with it that only it needed") {
  Made made;
  must(open_store(made.home)->remove(made.id));
  made.check_gone();
}

TEST_CASE("a removal that ended after hiding the session is finished by the next start") {
  Made made;
  // As the first step leaves it.
  tamper(made.home, "UPDATE session SET complete = -1");
  open_store(made.home);
  made.check_gone();
}

TEST_CASE("a removal that ended while others use the home is finished by a sweep") {
  Made made;
  auto other = open_store(made.home);
  auto store = open_store(made.home);
  tamper(made.home, "UPDATE session SET complete = -1");
  const auto swept = must(store->sweep());
  CHECK(swept.n_sessions == 1);
  made.check_gone();
  CHECK(must(store->sweep()).nothing());
}

TEST_CASE("what a store put away and no event came to name is gone after the next start") {
  TemporaryFolder home;
  {
    auto store = open_store(home.path());
    must(store->create_session({.title = "x"}));
    must(store->put_blob("nobody names it"));
    // As a writer that died half-way leaves it.
    const auto digest = tag(must(store->put_blob("second")));
    fs::remove(home / "blobs" / digest.substr(0, 2) / digest);
    std::ofstream(home / "blobs" / digest.substr(0, 2) / ("." + digest + ".XyZ123")) << "sec";
  }
  open_store(home.path());
  CHECK(n_files_below(home / "blobs") == 0);
}

TEST_CASE("a sweep takes what nothing names and leaves what is named, pinned or owned") {
  Made made;
  auto store = open_store(made.home);
  auto lease = must(store->create_session({.title = "y", .working_directory = made.root}));
  const auto named = must(store->put_blob("named"));
  must(store->append(*lease, {{"note.added", Json{{"blob", named}}}}));
  const auto pinned = must(store->put_blob("pinned"));
  // Of sessions that the log does not know, as an older version of the program could leave them.
  const std::string orphan(64, 'a');
  fs::create_directories(made.home / "blobs" / "aa");
  std::ofstream(made.home / "blobs" / "aa" / orphan) << "orphan";
  {
    auto files = FileCheckpoints::open(made.home, made.root);
    std::ofstream(made.root / "file") << "other content";
    REQUIRE((files && (*files)->take("s_unknown")));
    auto cache = SnapshotStore::open(made.home, {.free_bytes_min = 0});
    MadeUpState state(made_up_tokens(500));
    REQUIRE((cache && (*cache)->save("s_unknown", state.stream(), state)));
  }
  const auto swept = must(store->sweep());
  CHECK(swept.n_sessions == 0);
  CHECK(swept.n_blobs == 1);
  CHECK(swept.n_checkpoints == 1);
  CHECK(swept.n_snapshots == 1);
  CHECK(must(store->get_blob(named)) == "named");
  CHECK(must(store->get_blob(pinned)) == "pinned");
  CHECK(must(store->read(made.id, 1, 100)).size() == 20);
  REQUIRE(checkpointed_sessions(made.home).size() == 1);
  CHECK(checkpointed_sessions(made.home)[0].second == made.id);
  CHECK(must(store->sweep()).nothing());
}

TEST_CASE("a sweep leaves a fork alone that another store is filling") {
  TemporaryFolder home;
  auto other = open_store(home.path());
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  auto fork = must(other->fork(lease->session(), 1));
  CHECK(must(store->sweep()).nothing());
  CHECK(must(store->list(10)).size() == 2);
}

TEST_CASE("a lock file that a removal left goes; one that tells of lost events stays") {
  Made made;
  const auto locks = made.home / "locks";
  {
    auto store = open_store(made.home);
    auto lease = must(store->acquire(made.id));
    must(store->append(*lease, notes(1, 1)));
    // As processes leave them that die: the first of this session, the other of one that is
    // unknown.
    fs::copy(locks / made.id, made.home / "kept");
    lease.reset();
    must(store->remove(made.id));
  }
  fs::copy(made.home / "kept", locks / made.id);
  fs::copy(made.home / "kept", locks / "s_lost");
  open_store(made.home);
  CHECK_FALSE(fs::exists(locks / made.id));
  CHECK(fs::exists(locks / "s_lost"));
}
