// Several processes on one home: this program starts itself as the others.
#include <array>
#include <cstdlib>
#include <iostream>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/child_process.h"
#include "tests/support/daily_slice.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace {

constexpr const char* kHomeVariable = "SABLE_TEST_MEMORY_HOME";

/// A process that appends to a session of its own and reports each acknowledged event on a pipe.
class Writer {
 public:
  Writer(const std::filesystem::path& home, const char* test_case) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    reports_ = UniqueFd(ends[0]);
    const UniqueFd write_end(ends[1]);
    auto child = ChildProcess::start({
        .argv = {"/proc/self/exe", test_case},
        .environment = {std::string(kHomeVariable) + "=" + home.string()},
        .stdout_fd = write_end.get(),
    });
    REQUIRE(child.has_value());
    child_.emplace(std::move(*child));
  }

  pid_t pid() const { return child_->pid(); }

  /// The next line it reports; empty at its end.
  std::string line() {
    std::string text;
    char c;
    while (::read(reports_.get(), &c, 1) == 1 && c != '\n') text.push_back(c);
    return text;
  }
  void kill() {
    REQUIRE(child_->signal(SIGKILL));
    REQUIRE(child_->wait());
  }
  bool ends_well() {
    const auto status = child_->wait();
    return status && status->exit_code == 0 && status->signal == 0;
  }

 private:
  UniqueFd reports_;
  std::optional<ChildProcess> child_;
};

void report(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) std::_Exit(2);
}

/// What the other processes run: no assertion of Catch2, so nothing but the reports is printed.
std::unique_ptr<Store> store_of_child() {
  auto store = Store::open(std::getenv(kHomeVariable));
  if (!store) {
    report("error " + store.error().message);
    std::_Exit(3);
  }
  return std::move(*store);
}

}  // namespace

TEST_CASE("child: append for ever", "[.child]") {
  if (!std::getenv(kHomeVariable)) return;
  auto store = store_of_child();
  auto lease = await(store->create_session({.title = "child"}));
  if (!lease) std::_Exit(4);
  report((*lease)->session());
  for (int i = 2;; ++i) {
    auto appended = await(store->append(**lease, notes(i, i)));
    if (!appended) std::_Exit(5);
    report(std::to_string(appended->back().seq));
  }
}

TEST_CASE("child: append two hundred", "[.child]") {
  if (!std::getenv(kHomeVariable)) return;
  auto store = store_of_child();
  auto lease = await(store->create_session({.title = "child"}));
  if (!lease) std::_Exit(4);
  for (int i = 2; i <= 201; ++i) {
    if (!await(store->append(**lease, notes(i, i)))) std::_Exit(5);
  }
  lease->reset();
  store.reset();
  std::_Exit(0);
}

TEST_CASE("several processes write their sessions to one home at the same time") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto own = must(store->create_session({.title = "own"}));
  std::vector<std::unique_ptr<Writer>> writers;
  for (int i = 0; i < 3; ++i) {
    writers.push_back(std::make_unique<Writer>(home.path(), "child: append two hundred"));
  }
  for (int i = 2; i <= 101; ++i) must(store->append(*own, notes(i, i)));
  for (auto& writer : writers) CHECK(writer->ends_well());
  const auto sessions = must(store->list(10));
  REQUIRE(sessions.size() == 4);
  for (const auto& session : sessions) {
    const Seq expected = session.title == "own" ? 101 : 201;
    CHECK(must(store->read(session.id, 1, 1000)).size() == expected);
  }
}

TEST_CASE("another process's session is seen with its owner, refused while it lives, free after") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  Writer writer(home.path(), "child: append for ever");
  const auto id = writer.line();
  while (writer.line() != "5") {
  }
  CHECK(must(store->find(id)).owner_pid == writer.pid());
  CHECK(must(store->list(1)).front().owner_pid == writer.pid());
  const auto refused = await(store->acquire(id));
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::denied);
  CHECK(refused.error().message.find(std::to_string(writer.pid())) != std::string::npos);
  writer.kill();
  CHECK(!must(store->find(id)).owner_pid);
  auto lease = must(store->acquire(id));
  CHECK(lease->last_seq() >= 5);
  must(store->append(*lease, notes(0, 0)));
}

namespace {

void kill_rounds(int n_rounds, unsigned seed) {
  std::mt19937 random(seed);
  TemporaryFolder home;
  int n_acknowledged = 0;
  for (int round = 0; round < n_rounds; ++round) {
    INFO("seed " << seed << ", round " << round);
    Writer writer(home.path(), "child: append for ever");
    const auto id = writer.line();
    REQUIRE(id.substr(0, 2) == "s_");
    Seq acknowledged = 1;
    const auto n_lines = random() % 20;
    for (size_t i = 0; i < n_lines; ++i) acknowledged = std::stoull(writer.line());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    writer.kill();
    for (auto line = writer.line(); !line.empty(); line = writer.line()) {
      acknowledged = std::stoull(line);
    }
    auto store = open_store(home.path());
    auto lease = must(store->acquire(id));
    CHECK(lease->last_seq() >= acknowledged);
    const auto events = must(store->read(id, 1, 100000));
    CHECK(events.size() == lease->last_seq());
    n_acknowledged += static_cast<int>(acknowledged);
  }
  CHECK(n_acknowledged >= n_rounds);
}

}  // namespace

TEST_CASE("a writer that is killed at any moment loses nothing that it acknowledged") {
  kill_rounds(20, 1);
}

TEST_CASE("a writer that is killed at any moment loses nothing, many rounds", "[slow]") {
  kill_rounds(all_cases() ? 1000 : 300, day_of_run());
}
