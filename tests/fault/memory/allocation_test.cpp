// A scripted session runs again and again; each time another allocation on one of the store's own
// threads finds no memory. Nothing acknowledged is lost, what failed has changed nothing, and the
// store goes on. Each run is a process of its own: where not even an error can be given (a
// destructor of the JSON library needs memory) the program ends with a sentence.
#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <new>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

#include "base/last_words.h"
#include "tests/support/daily_slice.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

constexpr int kEnded = 70;

std::atomic<bool> armed{false};
std::atomic<long> n_allocations{0}, fails_at{0};
thread_local bool is_asking = false;  ///< the test's own thread

bool finds_none() { return armed && !is_asking && n_allocations++ == fails_at; }

void* allocate(size_t n, size_t alignment) {
  void* const memory =
      finds_none() ? nullptr
      : alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__
          ? std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment)
          : std::malloc(n == 0 ? 1 : n);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t n, const std::nothrow_t&) noexcept {
  return finds_none() ? nullptr : std::malloc(n == 0 ? 1 : n);
}
void* operator new[](size_t n, const std::nothrow_t& none) noexcept {
  return operator new(n, none);
}
void* operator new(size_t n) { return allocate(n, 1); }
void* operator new[](size_t n) { return allocate(n, 1); }
void* operator new(size_t n, std::align_val_t alignment) {
  return allocate(n, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

/// What the script tells the outside, one line a fact, as it happens.
class Told {
 public:
  explicit Told(const fs::path& file)
      : fd_(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600)) {}
  void operator()(const std::string& line) const {
    (void)!::write(fd_, (line + "\n").c_str(), line.size() + 1);
  }

 private:
  int fd_;
};

/// The script. Goes on after a failure.
class AllocationScript {
 public:
  AllocationScript(fs::path home, const Told& told) : home_(std::move(home)), told_(told) {}

  void run() {
    for (int start = 0; start < 2; ++start) {
      auto opened = Store::open(home_);
      if (!understood(opened)) continue;
      const auto store = std::move(*opened);
      auto lease = session_.empty() ? await(store->create_session({.title = "script"}))
                                    : await(store->acquire(session_));
      if (!understood(lease)) lease = await(taken_again(*store));
      if (!understood(lease)) continue;
      session_ = (*lease)->session();
      told_("session " + session_);
      for (int i = 0; i < 4; ++i) append(*store, **lease, start * 10 + i, "text");
      append_blob(*store, **lease, start * 10 + 4);
      ask(*store);
      fork_and_remove(*store);
      carry(*store);
      // The fault is over: the store must have come through it.
      append(*store, **lease, start * 10 + 9, "last");
    }
    told_("end");
  }

 private:
  asio::awaitable<Result<std::unique_ptr<Lease>>> taken_again(Store& store) {
    return session_.empty() ? store.create_session({.title = "script"}) : store.acquire(session_);
  }

  /// Errors are of memory and say so.
  template <class T>
  bool understood(const Result<T>& result) {
    if (result) return true;
    const bool clear = result.error().code == ErrorCode::exhausted &&
                       result.error().message.find("memory") != std::string::npos;
    if (!clear) told_("unclear " + result.error().message);
    ++n_failed_;
    return false;
  }

  void append(Store& store, Lease& lease, int number, const std::string& text) {
    const std::string name = std::to_string(number);
    told_("asked " + name);
    const auto appended =
        await(store.append(lease, {{"note.added", Json{{"number", number}, {"text", text}}}}));
    told_((understood(appended) ? "done " : "failed ") + name);
  }

  void append_blob(Store& store, Lease& lease, int number) {
    const auto locator = await(store.put_blob(std::string(5000, 'b')));
    if (!understood(locator)) return;
    append(store, lease, number, *locator);
    const auto bytes = await(store.get_blob(*locator));
    if (understood(bytes) && bytes->size() != 5000) told_("unclear blob");
  }

  void ask(Store& store) {
    understood(await(store.read(session_, 1, 100)));
    understood(await(store.find_events(session_, "note.added", 1, 100)));
    understood(await(store.list(10)));
    understood(await(store.find(session_)));
    understood(await(store.unfinished_calls(session_)));
  }

  void fork_and_remove(Store& store) {
    auto fork = await(store.fork(session_, 2));
    if (!understood(fork)) return;
    const std::string id = (*fork)->session();
    fork->reset();
    understood(await(store.remove(id)));
  }

  void carry(Store& store) {
    const fs::path file = home_.parent_path() / "exported";
    if (!understood(await(store.export_session(session_, file)))) return;
    understood(await(store.import_session(file)));
    understood(await(store.retain({.bytes_max = uint64_t{1} << 40})));
  }

  const fs::path home_;
  const Told& told_;
  std::string session_;
  int n_failed_ = 0;
};

struct Finished {
  bool struck = false, ended = false;
};

/// In the child: never returns.
[[noreturn]] void play(const fs::path& folder, long at) {
  end_with_last_words();
  std::set_new_handler(nullptr);
  is_asking = true;
  const int err = ::open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(err, STDERR_FILENO);
  {
    const Told told(folder / "told");
    fails_at = at;
    armed = true;
    AllocationScript(folder / "home", told).run();
    armed = false;
    if (n_allocations > at) told("struck");
    told("allocations " + std::to_string(n_allocations));
  }
  ::_exit(0);
}

std::multimap<std::string, std::string> facts_of(const fs::path& file) {
  std::ifstream in(file);
  std::multimap<std::string, std::string> facts;
  for (std::string line; std::getline(in, line);) {
    const size_t space = line.find(' ');
    facts.emplace(line.substr(0, space), space == std::string::npos ? "" : line.substr(space + 1));
  }
  return facts;
}

std::set<std::string> all_of(const std::multimap<std::string, std::string>& facts,
                             const std::string& kind) {
  std::set<std::string> values;
  const auto [first, last] = facts.equal_range(kind);
  for (auto fact = first; fact != last; ++fact) values.insert(fact->second);
  return values;
}

Finished run_with_failure(long at) {
  INFO("allocation " << at);
  TemporaryFolder folder;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) play(folder.path(), at);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  INFO(folder.read("err"));
  REQUIRE(WIFEXITED(status));
  const bool ended = WEXITSTATUS(status) == kEnded;
  CHECK((ended || WEXITSTATUS(status) == 0));
  if (ended) CHECK(folder.read("err").find("out of memory") != std::string::npos);

  const auto facts = facts_of(folder / "told");
  CHECK(all_of(facts, "unclear").empty());
  const auto done = all_of(facts, "done"), failed = all_of(facts, "failed"),
             asked = all_of(facts, "asked");
  const auto health = check(folder / "home");
  auto store = open_store(folder / "home");
  if (health) {
    INFO((health->problems.empty() ? "" : health->problems.front()));
    CHECK(health->problems.empty());
  }
  std::set<std::string> found;
  for (const auto& session : all_of(facts, "session")) {
    auto lease = must(store->acquire(session));
    for (const auto& event : must(store->find_events(session, "note.added", 1, 1000))) {
      const auto number = std::to_string(event.data["number"].get<int>());
      CHECK(found.insert(number).second);
    }
    must(store->append(*lease, notes(1000, 1000)));
  }
  for (const auto& number : done) CHECK(found.contains(number));
  for (const auto& number : failed) CHECK_FALSE(found.contains(number));
  for (const auto& number : found) CHECK(asked.contains(number));
  if (!ended) CHECK(done.contains("19"));
  return {ended || facts.contains("struck"), ended};
}

/// Of the store's threads, when none of them fails.
size_t count_allocations() {
  TemporaryFolder folder;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) play(folder.path(), std::numeric_limits<long>::max());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  const auto counts = all_of(facts_of(folder / "told"), "allocations");
  REQUIRE(counts.size() == 1);
  return std::stoul(*counts.begin());
}

void run_every_allocation(const Slice& slice) {
  size_t n_ended = 0;
  const size_t n_existing = count_allocations();
  const Coverage coverage{slice.for_each(n_existing,
                                         [&](size_t at) {
                                           const auto finished =
                                               run_with_failure(static_cast<long>(at));
                                           n_ended += finished.ended;
                                           return finished.struck;
                                         }),
                          n_existing};
  std::cout << "no memory on the store's threads: " << coverage << "; " << n_ended
            << " of them ended the program\n";
  CHECK(coverage.n_covered > 0);
}

}  // namespace

TEST_CASE("an allocation that fails on a thread of the store fails one call and loses nothing") {
  run_every_allocation(Slice::fixed(397, 5));
}

TEST_CASE("any allocation that fails on a thread of the store fails one call and loses nothing",
          "[slow]") {
  run_every_allocation(Slice::of_the_day(7));
}
