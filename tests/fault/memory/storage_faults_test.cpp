// A scripted session runs again and again; each time another operation fails. Afterwards everything
// that was acknowledged is there, at most one append more, whose failure left its fate unknown, and
// the next start is clean.
#include <iostream>

#include "tests/fault/memory/faults.h"
#include "tests/support/daily_slice.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

/// What the outside world was told.
struct Acknowledged {
  std::string session;
  std::vector<std::string> texts;  ///< of the events after "session.started"
  std::vector<std::string> blobs;
  /// Of the appends that failed since the last one that did not. One of them may be found: where
  /// its pages were written but not synced, and nothing overwrote them.
  std::vector<std::string> uncertain;

  /// What a log may hold that has these texts: all that was told, and one that is uncertain.
  std::vector<std::string> possible(const std::vector<std::string>& found) const {
    auto all = texts;
    if (found.size() == texts.size() + 1 &&
        std::find(uncertain.begin(), uncertain.end(), found.back()) != uncertain.end()) {
      all.push_back(found.back());
    }
    return all;
  }
};

std::vector<std::string> texts_of(const std::vector<Event>& events) {
  std::vector<std::string> texts;
  for (const auto& event : events) texts.push_back(event.data["text"]);
  return texts;
}

std::string text_of(int number) {
  // Small events, some that need a page of their own, some that need several.
  return std::to_string(number) + std::string(number % 7 == 3 ? 9000 : number % 50, 'x');
}

/// The script. Goes on after a failure, as an agent with a full disk would; stops when the power is
/// gone.
class Script {
 public:
  Script(fs::path home, int n_appends) : home_(std::move(home)), n_appends_(n_appends) {}

  Acknowledged run() {
    for (int number = 0; number < n_appends_ && !is_dark(); ++number) {
      // Half-way the program is started anew.
      if (number == n_appends_ / 2) stop();
      if (!ready()) continue;
      if (number % 9 == 4) {
        append_blob(number);
      } else if (number % 9 == 7) {
        fork_and_remove();
      } else {
        append(number, text_of(number));
      }
    }
    stop();
    return std::move(told_);
  }

 private:
  bool is_dark() const { return faults().kind() == FaultKind::power_loss && faults().struck(); }

  /// Errors may be of a full disk or of a failing one; never of a damaged database.
  template <class T>
  bool succeeded(const Result<T>& result) {
    if (result) return true;
    INFO(result.error().message);
    if (!is_dark()) {
      CHECK((result.error().code == ErrorCode::io || result.error().code == ErrorCode::exhausted));
    }
    return false;
  }

  bool ready() {
    if (!store_) {
      auto store = Store::open(home_);
      if (!succeeded(store)) return false;
      store_ = std::move(*store);
    }
    if (!lease_) {
      auto lease = told_.session.empty() ? await(store_->create_session({.title = "script"}))
                                         : await(store_->acquire(told_.session));
      if (!succeeded(lease)) return false;
      lease_ = std::move(*lease);
      told_.session = lease_->session();
      if (!told_.uncertain.empty()) return learn();
    }
    return true;
  }

  /// After a new start the log says what became of an append that failed.
  bool learn() {
    const auto events = await(store_->read(told_.session, 2, 100000));
    if (!succeeded(events)) {
      lease_.reset();
      return false;
    }
    told_.texts = told_.possible(texts_of(*events));
    told_.uncertain.clear();
    return true;
  }

  bool append(int number, const std::string& text) {
    const auto result =
        await(store_->append(*lease_, {{"note.added", Json{{"number", number}, {"text", text}}}}));
    if (succeeded(result)) {
      told_.texts.push_back(text);
      told_.uncertain.clear();
      return true;
    }
    told_.uncertain.push_back(text);
    return false;
  }

  void append_blob(int number) {
    const auto locator = await(store_->put_blob(text_of(number)));
    if (!succeeded(locator)) return;
    // One that no event came to name is gone with the next start.
    if (append(number, *locator)) told_.blobs.push_back(*locator);
  }

  void fork_and_remove() {
    auto fork = await(store_->fork(told_.session, 1));
    if (!succeeded(fork)) return;
    const auto id = (*fork)->session();
    fork->reset();
    if (!is_dark()) succeeded(await(store_->remove(id)));
  }

  void stop() {
    lease_.reset();
    store_.reset();
  }

  const fs::path home_;
  const int n_appends_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Lease> lease_;
  Acknowledged told_;
};

/// The home says what was told, is sound, and can be written.
void verify(const fs::path& home, const Acknowledged& told) {
  auto store = open_store(home);
  const auto health = check(home);
  REQUIRE(health);
  INFO((health->problems.empty() ? "" : health->problems.front()));
  CHECK(health->problems.empty());
  if (told.session.empty()) {
    must(store->create_session({.title = "next"}));
    return;
  }
  auto lease = must(store->acquire(told.session));
  const auto events = must(store->read(told.session, 2, 100000));
  const auto texts = texts_of(events);
  CHECK((texts == told.possible(texts)));
  for (const auto& blob : told.blobs) CHECK(await(store->get_blob(blob)));
  must(store->append(*lease, notes(0, 0)));
}

/// Runs with the n-th operation failing. False when the script has no n-th operation.
bool run_with_fault(FaultKind kind, size_t at, bool lasting, int n_appends) {
  INFO("operation " << at << (lasting ? " and all after it" : ""));
  TemporaryFolder folder;
  faults().watch(folder.path());
  faults().arm(kind, at, lasting || kind == FaultKind::power_loss);
  const fs::path home = folder / "made" / "home";
  Script script(home, n_appends);
  const auto told = script.run();
  const bool struck = faults().struck();
  if (kind != FaultKind::power_loss) {
    faults().disarm();
    verify(home, told);
    return struck;
  }
  faults().disarm();
  // Without the unsynced writes, then with some of them.
  const unsigned seeds[] = {0u, static_cast<unsigned>(at) + 1};
  for (const unsigned seed : seeds) {
    const fs::path image = folder / ("image" + std::to_string(seed));
    faults().write_crash_image(home, image, seed);
  }
  for (const unsigned seed : seeds) {
    INFO("seed " << seed);
    verify(folder / ("image" + std::to_string(seed)), told);
  }
  return struck;
}

/// Operations of this kind in the script, when none of them fails.
size_t count_operations(FaultKind kind, int n_appends) {
  TemporaryFolder folder;
  faults().watch(folder.path());
  faults().arm(kind, SIZE_MAX, /*lasting=*/false);
  Script(folder / "made" / "home", n_appends).run();
  faults().disarm();
  return faults().n_operations();
}

void run_every(FaultKind kind, bool lasting, int n_appends, const Slice& slice) {
  const size_t n_existing = count_operations(kind, n_appends);
  const Coverage coverage{
      slice.for_each(n_existing,
                     [&](size_t at) { return run_with_fault(kind, at, lasting, n_appends); }),
      n_existing};
  std::cout << "storage faults, " << name_of(kind) << (lasting ? ", lasting" : "") << ": "
            << coverage << "\n";
  CHECK(coverage.n_covered > 0);
}

}  // namespace

TEST_CASE("a full disk loses nothing that was acknowledged") {
  run_every(FaultKind::disk_full, false, 20, Slice::fixed(7));
  run_every(FaultKind::disk_full, true, 20, Slice::fixed(11));
}

TEST_CASE("a failing read, write, sync or rename loses nothing that was acknowledged") {
  run_every(FaultKind::io_error, false, 20, Slice::fixed(17));
  run_every(FaultKind::io_error, true, 20, Slice::fixed(31));
}

TEST_CASE("a write that stores only a part loses nothing that was acknowledged") {
  run_every(FaultKind::short_write, false, 20, Slice::fixed(7));
}

TEST_CASE("memory that runs out in the database loses nothing that was acknowledged") {
  run_every(FaultKind::no_memory, false, 20, Slice::fixed(499));
}

TEST_CASE("a power loss at any write or sync loses nothing that was acknowledged") {
  run_every(FaultKind::power_loss, true, 20, Slice::fixed(11));
}

TEST_CASE("a fault at every operation of a long session loses nothing", "[slow]") {
  const auto run = [&](FaultKind kind, bool lasting, int n_appends = 100) {
    run_every(kind, lasting, n_appends, Slice::of_the_day(17));
  };
  run(FaultKind::disk_full, false);
  run(FaultKind::disk_full, true);
  run(FaultKind::io_error, false);
  run(FaultKind::io_error, true);
  run(FaultKind::short_write, false);
  run(FaultKind::power_loss, true);
  run(FaultKind::no_memory_after, false);
  run(FaultKind::no_memory, false, 10);  // the database's allocations are many and alike
}
