// kill -9 of the real program, with real sandboxed tools, right before each of its operations on
// the home: what was acknowledged is there, no effect happens twice, and the next start goes on.
//
// The session has turns of five steps. A turn starts from a copy of home and repository as the
// uninterrupted session left them after the turn before, so that each operation of the whole
// session is met once without playing everything before it again.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>
#include <set>
#include <signal.h>

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "base/text.h"
#include "tests/e2e/world.h"
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
      call = tool_call("write_file", {{"path", "written"}, {"content", "content " + name}});
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

void replace_folder(const fs::path& folder, const fs::path& with) {
  fs::remove_all(folder);
  fs::copy(with, folder, fs::copy_options::recursive);
}

std::string text_of(const agent::Message& message) {
  std::string text = std::string(agent::name_of(message.role)) + ":" + message.text;
  for (const auto& call : message.tool_calls) text += call.name + call.arguments;
  return text;
}

class KilledSession {
 public:
  explicit KilledSession(int n_turns) {
    std::ofstream(world_.repository() / "constant") << "the same in every turn";
    for (int turn = 0; turn < n_turns; ++turn) {
      keep_base(turn);
      play(turn_script(turn));
      const auto ran = finish(arguments(), {});
      INFO(ran.err);
      REQUIRE(ran.exit_code == 0);
      if (turn == 0) id_ = string_or(ran.json_lines().at(0), "session", "");
      n_operations_.push_back(std::stol(world_.folder().read("count")));
    }
    messages_ = messages();
  }

  int n_turns() const { return static_cast<int>(n_operations_.size()); }
  long n_operations(int turn) const { return n_operations_[static_cast<size_t>(turn)]; }

  /// One killed turn and one after it. The first turn has no session to go on with before it has
  /// acknowledged one. False when the program was done before.
  bool kill_at(int turn, long index) {
    INFO("turn " << turn << ", operation " << index);
    replace_folder(world_.home(), base(turn) / "home");
    replace_folder(world_.repository(), base(turn) / "repository");
    play(turn_script(turn));
    const auto killed = finish(turn == 0 ? first_arguments() : arguments(),
                               {"SABLE_TEST_KILL_AT=" + std::to_string(index)});
    if (killed.signal != SIGKILL) {
      REQUIRE(killed.exit_code == 0);
      return false;
    }
    check_after(turn, killed.json_lines());
    return true;
  }

 private:
  fs::path base(int turn) const { return world_.folder() / ("base" + std::to_string(turn)); }

  void keep_base(int turn) const {
    fs::create_directories(world_.home());
    fs::create_directories(base(turn));
    replace_folder(base(turn) / "home", world_.home());
    replace_folder(base(turn) / "repository", world_.repository());
  }

  void play(const Json& replies) { world_.play(replies); }

  std::vector<std::string> first_arguments() const {
    return {"run", "go on", "--json", "--approve", "all", "--repo", world_.repository().string()};
  }
  std::vector<std::string> arguments() const {
    auto all = first_arguments();
    if (!id_.empty()) all.insert(all.end(), {"--resume", id_});
    return all;
  }

  Finished finish(std::vector<std::string> arguments, std::vector<std::string> variables) const {
    const auto model = world_.model_arguments();
    arguments.insert(arguments.end(), model.begin(), model.end());
    std::vector<std::string> argv{"/usr/bin/env", "LD_PRELOAD=" SABLE_KILL_AT,
                                  "SABLE_TEST_KILL_BELOW=" + world_.home().string(),
                                  "SABLE_TEST_KILL_COUNT=" + (world_.folder() / "count").string()};
    argv.insert(argv.end(), variables.begin(), variables.end());
    argv.push_back(World::program());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    auto process = world_.start_program(std::move(argv), "killed");
    return world_.finish(process, "killed");
  }

  std::vector<memory::Event> log(const std::string& id) const {
    const auto store = memory::Store::open(world_.home());
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
    const auto health = memory::check(world_.home());
    REQUIRE(health.has_value());
    INFO((health->problems.empty() ? "" : health->problems.front()));
    CHECK(health->problems.empty());
    std::string id = id_;
    if (turn == 0) {
      // Until its first event was acknowledged nobody knows of the session.
      if (acknowledged.empty()) return;
      id = string_or(acknowledged[0], "session", "");
    }
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
    play(Json::array({{{"text", "I will check first."}}}));
    auto going_on = first_arguments();
    going_on.insert(going_on.end(), {"--resume", id});
    const auto next = finish(going_on, {});
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
  std::string id_;
  std::vector<long> n_operations_;  ///< of each turn
  std::vector<std::string> messages_;
};

void kill_everywhere(int n_turns, long stride) {
  KilledSession session(n_turns);
  size_t n_covered = 0, n_existing = 0;
  for (int turn = 0; turn < n_turns; ++turn) {
    long index = turn % stride;
    for (; session.kill_at(turn, index); index += stride) ++n_covered;
    n_existing += static_cast<size_t>(session.n_operations(turn));
  }
  std::cout << "kill -9, session of " << n_turns * kStepsInTurn << " steps: " << n_covered
            << " indices covered of " << n_existing << " existing\n";
  CHECK(n_covered > 0);
}

}  // namespace

TEST_CASE("a program killed at some of its operations loses nothing and repeats nothing") {
  kill_everywhere(2, 61);
}

TEST_CASE("a program killed at every operation of forty steps loses nothing and repeats nothing",
          "[slow]") {
  kill_everywhere(8, 1);
}

TEST_CASE("a program killed at random operations of two hundred steps loses and repeats nothing",
          "[slow]") {
  constexpr int kTurns = 40, kKills = 200;
  KilledSession session(kTurns);
  std::mt19937 random(20261122);
  int n_covered = 0;
  size_t n_existing = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    n_existing += static_cast<size_t>(session.n_operations(turn));
  }
  for (int i = 0; i < kKills; ++i) {
    const int turn = static_cast<int>(random() % kTurns);
    const long index =
        static_cast<long>(random() % static_cast<size_t>(session.n_operations(turn)));
    n_covered += session.kill_at(turn, index);
  }
  std::cout << "kill -9, session of " << kTurns * kStepsInTurn << " steps: " << n_covered
            << " random indices covered of " << n_existing << " existing\n";
  CHECK(n_covered > kKills * 9 / 10);
}
