// kill -9 of the real program, with real sandboxed tools, right before each of its operations on
// the home: what was acknowledged is there, no effect happens twice, and the next start goes on.
// The same where one of its allocations finds no memory.
//
// The session has turns of five steps. A turn starts from a copy of home and repository as the
// uninterrupted session left them after the turn before, so that each operation of the whole
// session is met once without playing everything before it again.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>
#include <regex>
#include <set>
#include <signal.h>

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "base/text.h"
#include "tests/e2e/world.h"
#include "tests/support/daily_slice.h"
#include "tests/support/run_coroutine.h"

using namespace sable;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

constexpr int kStepsInTurn = 5;

/// Three of five steps have an effect that must not happen twice.
Json turn_script(int turn) {
  Json replies = Json::array();
  for (int step = 0; step < kStepsInTurn; ++step) {
    const std::string name = std::to_string(turn) + "." + std::to_string(step);
    Json call;
    if (step == 1) {
      call = tool_call("write_file", {{"path", "written" + name}, {"content", name}});
    } else if (step == 3) {
      call = tool_call("read_file", {{"path", "constant"}});
    } else {
      call = tool_call("shell", {{"command", "echo " + name + " >> effects"}});
    }
    replies.push_back({{"text", "step " + name}, {"tool_calls", Json::array({call})}});
  }
  replies.push_back({{"text", "turn " + std::to_string(turn) + " is done"}});
  return replies;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// What was acknowledged; an error that ends the program is a line of its own kind.
std::vector<Json> events_of(const Finished& finished) {
  auto lines = finished.json_lines();
  std::erase_if(lines, [](const Json& line) { return !line.contains("seq"); });
  return lines;
}

void replace_folder(const fs::path& folder, const fs::path& with) {
  fs::remove_all(folder);
  fs::copy(with, folder, fs::copy_options::recursive);
}

/// The home lies in memory where there is such a folder: thousands of runs sync it often. The
/// repository cannot, since no policy lets a tool write below /dev.
fs::path folder_in_memory() {
  return fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
}

/// Without how long a command took.
std::string text_of(const agent::Message& message) {
  static const std::regex took("; [0-9.]+ s\\]");
  std::string text =
      std::string(agent::name_of(message.role)) + ":" + std::regex_replace(message.text, took, "]");
  for (const auto& call : message.tool_calls) text += call.name + call.arguments;
  return text;
}

/// What one run of the whole turn costs.
struct Size {
  long n_operations = 0, n_allocations = 0;
};

class BrokenSession {
 public:
  explicit BrokenSession(int n_turns) {
    std::ofstream(world_.repository() / "constant") << "the same in every turn";
    for (int turn = 0; turn < n_turns; ++turn) {
      keep_base(turn);
      world_.play(turn_script(turn));
      const auto ran = finish(go_on(id_), {});
      INFO(ran.err);
      REQUIRE(ran.exit_code == 0);
      if (turn == 0) id_ = string_or(ran.json_lines().at(0), "session", "");
      Size size;
      std::istringstream(world_.folder().read("count")) >> size.n_operations >> size.n_allocations;
      REQUIRE(size.n_operations > 0);
      REQUIRE(size.n_allocations > 0);
      sizes_.push_back(size);
    }
    messages_ = messages();
  }

  const Size& size(int turn) const { return sizes_[static_cast<size_t>(turn)]; }

  /// A turn that is killed and one after it. False when the program was done before.
  bool kill_at(int turn, long index) {
    INFO("turn " << turn << ", operation " << index);
    const auto killed = start_anew(turn, "SABLE_TEST_KILL_AT=" + std::to_string(index));
    if (killed.signal != SIGKILL) {
      INFO(killed.err);
      REQUIRE(killed.exit_code == 0);
      return false;
    }
    check_after(turn, events_of(killed));
    return true;
  }

  /// A turn in which an allocation fails and one after it. True when that ended the program.
  bool no_memory_at(int turn, long index) {
    INFO("turn " << turn << ", allocation " << index);
    const auto ran = start_anew(turn, "SABLE_TEST_NO_MEMORY_AT=" + std::to_string(index));
    INFO(ran.err);
    CHECK(ran.signal == 0);
    CHECK((ran.exit_code == 0 || ran.exit_code == 1 || ran.exit_code == 70));
    if (ran.exit_code != 0) CHECK(ran.err.find("memory") != std::string::npos);
    check_after(turn, events_of(ran));
    return ran.exit_code == 70;
  }

 private:
  fs::path home() const { return memory_ / "home"; }
  fs::path base(int turn) const { return memory_ / ("base" + std::to_string(turn)); }

  void keep_base(int turn) const {
    fs::create_directories(home());
    fs::create_directories(base(turn));
    replace_folder(base(turn) / "home", home());
    replace_folder(base(turn) / "repository", world_.repository());
  }

  Finished start_anew(int turn, const std::string& plan) {
    replace_folder(home(), base(turn) / "home");
    replace_folder(world_.repository(), base(turn) / "repository");
    world_.play(turn_script(turn));
    return finish(go_on(turn == 0 ? "" : id_), {plan});
  }

  /// The first turn has no session to go on with.
  std::vector<std::string> go_on(const std::string& id) const {
    std::vector<std::string> all{
        "run", "go on", "--json", "--approve", "all", "--repo", world_.repository().string()};
    if (!id.empty()) all.insert(all.end(), {"--resume", id});
    return all;
  }

  Finished finish(std::vector<std::string> arguments, std::vector<std::string> variables) const {
    const auto model = world_.model_arguments();
    arguments.insert(arguments.end(), model.begin(), model.end());
    std::vector<std::string> argv{"/usr/bin/env", "LD_PRELOAD=" SABLE_KILL_AT,
                                  "SABLE_HOME=" + home().string(),
                                  "SABLE_TEST_KILL_BELOW=" + home().string(),
                                  "SABLE_TEST_KILL_COUNT=" + (world_.folder() / "count").string()};
    argv.insert(argv.end(), variables.begin(), variables.end());
    argv.push_back(World::program());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    auto process = world_.start_program(std::move(argv), "broken");
    return world_.finish(process, "broken");
  }

  std::vector<memory::Event> log(const std::string& id) const {
    const auto store = memory::Store::open(home());
    INFO((store ? "" : store.error().message));
    REQUIRE(store.has_value());
    auto events = run((*store)->read(id, 1, 1'000'000));
    INFO((events ? "" : events.error().message));
    REQUIRE(events.has_value());
    return std::move(*events);
  }
  std::vector<std::string> messages() const {
    const auto rebuilt = agent::messages_from(log(id_));
    REQUIRE(rebuilt.has_value());
    std::vector<std::string> texts;
    for (const auto& message : *rebuilt) texts.push_back(text_of(message));
    return texts;
  }

  void check_after(int turn, const std::vector<Json>& acknowledged) {
    // Until its first event was acknowledged nobody knows of the session.
    if (turn == 0 && acknowledged.empty()) return;
    const std::string id = turn == 0 ? string_or(acknowledged[0], "session", "") : id_;
    const auto health = memory::check(home());
    REQUIRE(health.has_value());
    INFO((health->problems.empty() ? "" : health->problems.front()));
    CHECK(health->problems.empty());
    const auto events = log(id);
    for (const auto& told : acknowledged) {
      const auto seq = told["seq"].get<size_t>();
      REQUIRE(seq <= events.size());
      CHECK(to_json(events[seq - 1]) == told);
    }
    if (turn > 0) {
      const auto now = messages();
      for (size_t i = 0; i < std::min(now.size(), messages_.size()); ++i) {
        CHECK(now[i] == messages_[i]);
      }
    }
    world_.play(Json::array({{{"text", "I will check first."}}}));
    const auto next = finish(go_on(id), {});
    INFO(next.err);
    CHECK(next.exit_code == 0);
    const auto effects = lines_of(world_.repository() / "effects");
    CHECK(std::set<std::string>(effects.begin(), effects.end()).size() == effects.size());
    size_t n_intents = 0, n_outcomes = 0, n_begun = 0, n_ended = 0;
    for (const auto& event : log(id)) {
      n_intents += event.type == "tool.intent";
      n_outcomes += event.type == "tool.outcome";
      n_begun += event.type == "turn.started";
      n_ended += event.type == "turn.ended";
    }
    CHECK(n_outcomes >= n_intents);
    CHECK(n_begun == n_ended);
  }

  World world_;
  TemporaryFolder memory_{folder_in_memory()};
  std::string id_;
  std::vector<Size> sizes_;  ///< of each turn
  std::vector<std::string> messages_;
};

void kill_everywhere(int n_turns, const Slice& slice) {
  BrokenSession session(n_turns);
  Coverage coverage;
  for (int turn = 0; turn < n_turns; ++turn) {
    const auto n_existing = static_cast<size_t>(session.size(turn).n_operations);
    coverage += {slice.for_each(
                     n_existing,
                     [&](size_t index) { return session.kill_at(turn, static_cast<long>(index)); }),
                 n_existing};
  }
  std::cout << "kill -9, session of " << n_turns * kStepsInTurn << " steps: " << coverage << "\n";
  CHECK(coverage.n_covered > 0);
}

/// `n` of all allocations of a session, far from each other.
void no_memory(int n_turns, size_t n, unsigned seed) {
  BrokenSession session(n_turns);
  std::mt19937 random(seed);
  size_t n_ended = 0;
  Coverage coverage;
  for (size_t i = 0; i < n; ++i) {
    const int turn = static_cast<int>(i % static_cast<size_t>(n_turns));
    const auto n_allocations = static_cast<size_t>(session.size(turn).n_allocations);
    n_ended += session.no_memory_at(turn, static_cast<long>(random() % n_allocations));
    ++coverage.n_covered;
    if (i < static_cast<size_t>(n_turns)) coverage.n_existing += n_allocations;
  }
  std::cout << "no memory, session of " << n_turns * kStepsInTurn << " steps: " << coverage << "; "
            << n_ended << " of them ended the program\n";
}

}  // namespace

TEST_CASE("a program killed at some of its operations loses nothing and repeats nothing") {
  kill_everywhere(2, Slice::fixed(97));
}

TEST_CASE("a program that finds no memory ends with a sentence, and loses and repeats nothing") {
  no_memory(2, 8, day_of_run());
}

TEST_CASE("a program killed at every operation of forty steps loses nothing and repeats nothing",
          "[slow][everywhere]") {
  kill_everywhere(8, Slice::of_the_day(7));
}

TEST_CASE("a program killed at random operations of two hundred steps loses and repeats nothing",
          "[slow][somewhere]") {
  constexpr int kTurns = 40, kKills = 200;
  BrokenSession session(kTurns);
  std::mt19937 random(day_of_run());
  int n_covered = 0;
  size_t n_existing = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    n_existing += static_cast<size_t>(session.size(turn).n_operations);
  }
  for (int i = 0; i < kKills; ++i) {
    const int turn = static_cast<int>(random() % kTurns);
    const auto n_operations = static_cast<size_t>(session.size(turn).n_operations);
    n_covered += session.kill_at(turn, static_cast<long>(random() % n_operations));
  }
  std::cout << "kill -9, session of " << kTurns * kStepsInTurn << " steps: " << n_covered
            << " random indices of day " << day_of_run() << " covered of " << n_existing
            << " existing\n";
  CHECK(n_covered > kKills * 9 / 10);
}

TEST_CASE(
    "a program that finds no memory at one of many places ends with a sentence and loses nothing",
    "[slow][somewhere]") {
  no_memory(4, 100, day_of_run());
}
