// kill -9 of the real program with its embedded model anywhere in a run, and the run taken up
// again: the model's tokens are those of a run that nobody killed.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <random>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>

#include "tests/e2e/world.h"
#include "tests/support/daily_slice.h"

using namespace sable;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

/// One task of the embedded model on a copy of the example, always in the same place: the prompt
/// names it.
class KilledRun {
 public:
  explicit KilledRun(std::string task) : task_(std::move(task)) {
    const auto ran = begin({});
    INFO(ran.err);
    REQUIRE(ran.exit_code == 0);
    long n_operations = 0;
    std::istringstream(world_.folder().read("count")) >> n_operations >> n_allocations_;
    REQUIRE(n_allocations_ > 0);
    events_ = log(ran);
    REQUIRE(n_replies() > 3);
    files_ = files();
  }

  long n_allocations() const { return n_allocations_; }
  size_t n_replies() const { return data_of(events_, "model.finished").size(); }

  struct Taken {
    bool up = false;       ///< there was something to take up
    bool unknown = false;  ///< a call was running when it was killed
    size_t n_before = 0;   ///< replies that were whole by then
  };

  /// Kills it at an allocation, takes it up again, and compares.
  Taken kill_at(long allocation) {
    INFO("allocation " << allocation << " of " << n_allocations_);
    const auto killed = begin({"SABLE_TEST_KILL_AT_ALLOCATION=" + std::to_string(allocation)});
    INFO(killed.err);
    if (killed.signal != SIGKILL || killed.json_lines().empty()) return {};
    const auto before = log(killed);
    if (data_of(before, "turn.started").empty() || !data_of(before, "turn.ended").empty())
      return {};
    Taken taken{.up = true, .n_before = data_of(before, "model.finished").size()};
    const auto resumed =
        run({"run", "--resume", session_of(killed), "--json", "--approve", "all"}, {});
    INFO(resumed.err);
    const auto after = log(killed);
    for (const auto& outcome : data_of(after, "tool.outcome")) {
      if (string_or(outcome, "status", "") == "unknown") taken.unknown = true;
    }
    CHECK(data_of(after, "turn.ended").size() == 1);
    if (taken.unknown) return taken;  // the model reads something else from there on
    CHECK(resumed.exit_code == 0);
    REQUIRE(texts(after, "tool.outcome") == texts(events_, "tool.outcome"));
    CHECK(tokens_of(after) == tokens_of(events_));
    CHECK(files() == files_);
    return taken;
  }

 private:
  fs::path repository() const { return world_.folder() / "league"; }

  Finished begin(std::vector<std::string> variables) const {
    fs::remove_all(repository());
    fs::copy(fs::path(SABLE_SOURCE_DIR) / "configs/examples/league", repository(),
             fs::copy_options::recursive);
    fs::remove(repository() / "tests");
    fs::remove_all(world_.home());
    return run({"run", task_, "--repo", repository().string(), "--json", "--approve", "all"},
               std::move(variables));
  }

  Finished run(std::vector<std::string> arguments, std::vector<std::string> variables) const {
    std::vector<std::string> argv{"/usr/bin/env", "LD_PRELOAD=" SABLE_KILL_AT,
                                  "SABLE_TEST_KILL_COUNT=" + (world_.folder() / "count").string()};
    argv.insert(argv.end(), variables.begin(), variables.end());
    argv.push_back(World::program());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    auto process = world_.start_program(std::move(argv), "run");
    return world_.finish(process, "run");
  }

  static std::string session_of(const Finished& ran) {
    return string_or(ran.json_lines().at(0), "session", "");
  }
  std::vector<Json> log(const Finished& ran) const {
    return world_.sable({"session", "events", session_of(ran)}).json_lines();
  }
  static std::vector<std::string> texts(const std::vector<Json>& events, const std::string& type) {
    std::vector<std::string> found;
    for (const auto& data : data_of(events, type)) found.push_back(string_or(data, "text", ""));
    return found;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(repository())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::stringstream text;
      text << entry.path().filename().string() << "\n" << in.rdbuf();
      found.push_back(text.str());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  World world_;
  std::string task_;
  std::vector<Json> events_;
  std::vector<std::string> files_;
  long n_allocations_ = 0;
};

/// Tools whose results are the same each time: nothing tells how long it took.
constexpr const char* kTask = "Rename margin to gap in all files.";

void kill_in(int n_kills, unsigned seed) {
  KilledRun killed(kTask);
  std::mt19937 random(seed);
  const long part = killed.n_allocations() / n_kills;
  int n_up = 0, n_unknown = 0;
  std::set<size_t> steps;
  for (int i = 0; i < n_kills; ++i) {
    const auto taken =
        killed.kill_at(i * part + static_cast<long>(random() % static_cast<unsigned long>(part)));
    n_up += taken.up;
    n_unknown += taken.unknown;
    if (taken.up) steps.insert(taken.n_before);
  }
  std::cout << "kill -9 of the embedded model's run: " << n_kills << " of "
            << killed.n_allocations() << " allocations, " << n_up << " taken up again, in "
            << steps.size() << " of " << killed.n_replies() << " steps; a call was running in "
            << n_unknown << "\n";
  CHECK(n_up > n_kills / 4);
  CHECK(n_up > n_unknown);
  CHECK(steps.size() > 1);
}

}  // namespace

TEST_CASE("killed anywhere and taken up again, the embedded model decodes the very same tokens") {
  kill_in(16, day_of_run());
}

TEST_CASE("killed at three hundred places, the embedded model decodes the very same tokens",
          "[slow]") {
  kill_in(300, day_of_run());
}
