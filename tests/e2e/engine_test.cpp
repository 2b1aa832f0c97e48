// The real program with a model of its own: random weights, real prompts, real tools, real log.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "tests/e2e/world.h"
#include "tests/support/babbling_checkpoint.h"

using namespace sable;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

/// A world whose user has a babbling model called "tiny".
class EngineWorld {
 public:
  explicit EngineWorld(uint64_t seed = 0, int n_tokens_max = 120) {
    model_ = babbling_checkpoint(world_.folder() / "tiny");
    settings(seed, n_tokens_max);
    write("models/tiny.yaml", "name: tiny\ndescription: It babbles\nweights: " + model_.string() +
                                  "\nagent: embedded\nthinking: false\n");
  }

  World& world() { return world_; }
  const fs::path& model() const { return model_; }

  void settings(uint64_t seed, int n_tokens_max) const {
    write("config.yaml", "sampling: {seed: " + std::to_string(seed) +
                             ", output_tokens_max: " + std::to_string(n_tokens_max) + "}\n");
  }

  std::vector<std::string> arguments(const std::string& task,
                                     std::vector<std::string> further) const {
    std::vector<std::string> all{"run",     task,   "--repo",    world_.repository().string(),
                                 "--model", "tiny", "--approve", "all",
                                 "--json"};
    all.insert(all.end(), further.begin(), further.end());
    return all;
  }
  Finished run(const std::string& task, std::vector<std::string> further = {}) const {
    return world_.sable(arguments(task, std::move(further)));
  }

  /// Seeds whose first reply is whole and calls tools, all of which only read: their results are
  /// the same again. (A reply that was cut off at its limit is not what the next prompt repeats.)
  std::vector<uint64_t> seeds_that_read() const {
    std::vector<uint64_t> seeds;
    for (uint64_t seed = 0; seed < 80 && seeds.size() < 3; ++seed) {
      settings(seed, 120);
      const auto events = run("find it", {"--max-steps", "1"}).json_lines();
      const auto replies = data_of(events, "model.finished");
      const bool whole =
          replies.size() == 1 && replies[0]["usage"]["output_tokens"].get<int>() < 120;
      const auto intents = data_of(events, "tool.intent");
      const bool reads = std::all_of(intents.begin(), intents.end(), [](const Json& intent) {
        return string_or(intent, "effect", "") == "none";
      });
      if (whole && !intents.empty() && reads) seeds.push_back(seed);
    }
    return seeds;
  }

  /// Runs until the second step decodes, kills the program, and returns what its log holds.
  std::vector<Json> kill_in_second_step() const {
    auto process = world_.start(arguments("find it", {}), "killed");
    for (int i = 0; i < 3000; ++i) {
      const std::string text = world_.folder().read("killed.out");
      const size_t first = text.find("\"model.requested\"");
      if (first != std::string::npos &&
          text.find("\"model.requested\"", first + 1) != std::string::npos)
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    REQUIRE(process.signal(SIGKILL));
    const auto shown = world_.finish(process, "killed").json_lines();
    REQUIRE_FALSE(shown.empty());
    return world_.sable({"session", "events", string_or(shown[0], "session", "")}).json_lines();
  }

 private:
  void write(const std::string& file, const std::string& text) const {
    const fs::path path = world_.folder() / "user/.config/sable" / file;
    fs::create_directories(path.parent_path());
    REQUIRE(write_file_atomically(path, text));
  }

  World world_;
  fs::path model_;
};

}  // namespace

TEST_CASE("a babbling model's turn ends truthfully, and what it calls is always understood") {
  EngineWorld world;
  int n_calls = 0;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    world.settings(seed, 120);
    const auto ran = world.run("find the bug", {"--max-steps", "3"});
    INFO(ran.err);
    const auto events = ran.json_lines();
    REQUIRE_FALSE(events.empty());
    const auto ended = data_of(events, "turn.ended");
    REQUIRE(ended.size() == 1);
    const auto status = string_or(ended[0], "status", "");
    CHECK((status == "finished" || status == "limit" || status == "failed"));
    CHECK(ran.exit_code == (status == "finished" ? 0 : 1));
    for (const auto& reply : data_of(events, "model.finished")) {
      for (const auto& call : reply["tool_calls"]) {
        ++n_calls;
        const auto arguments = parse_json(string_or(call, "arguments", ""));
        REQUIRE(arguments);
        CHECK(arguments->is_object());
      }
    }
    for (const auto& outcome : data_of(events, "tool.outcome")) {
      CHECK(string_or(outcome, "status", "") != "invalid");
    }
  }
  WARN(n_calls << " calls");
}

TEST_CASE("killed while decoding and taken up again, the tokens are those of a run that was not") {
  EngineWorld world;
  const auto next_step = [&](const std::vector<Json>& events) {
    const auto ran =
        world.run("go on", {"--max-steps", "1", "--resume", string_or(events[0], "session", "")});
    INFO(ran.err);
    const auto tokens = tokens_of(ran.json_lines());
    REQUIRE(tokens.size() == 1);
    return tokens[0];
  };
  int n_in_time = 0;
  for (const uint64_t seed : world.seeds_that_read()) {
    INFO("seed " << seed);
    world.settings(seed, 120);
    const auto killed = world.kill_in_second_step();
    if (tokens_of(killed).size() != 1) continue;  // the reply was short and already whole
    ++n_in_time;
    const auto untouched = world.run("find it", {"--max-steps", "1"}).json_lines();
    const auto read = data_of(killed, "tool.outcome");
    const auto read_again = data_of(untouched, "tool.outcome");
    REQUIRE(read.size() == read_again.size());
    for (size_t i = 0; i < read.size(); ++i) REQUIRE(read[i]["text"] == read_again[i]["text"]);
    CHECK(tokens_of(killed) == tokens_of(untouched));
    // What these replies call may change files; their tokens are decided before.
    const auto resumed = next_step(killed);
    CHECK(resumed == next_step(untouched));
  }
  CHECK(n_in_time > 0);
}

TEST_CASE("a session that is taken up again reads its cache from disk and gives the same tokens") {
  EngineWorld world;
  const auto seeds = world.seeds_that_read();
  REQUIRE_FALSE(seeds.empty());
  world.settings(seeds.front(), 120);
  const auto first = world.run("find it", {"--max-steps", "1"}).json_lines();
  REQUIRE_FALSE(first.empty());
  const auto id = string_or(first[0], "session", "");
  const fs::path cache = world.world().home() / "cache";
  REQUIRE(fs::exists(cache));
  // The same session, as it would be had nothing been kept.
  const fs::path kept = world.world().folder() / "kept";
  fs::copy(world.world().home(), kept, fs::copy_options::recursive);

  const auto usage_of = [](const std::vector<Json>& events) {
    const auto replies = data_of(events, "model.finished");
    REQUIRE(replies.size() == 1);
    return replies[0]["usage"];
  };
  const auto before = usage_of(first);
  const auto go_on = [&] { return world.run("go on", {"--max-steps", "1", "--resume", id}); };
  const auto resumed = go_on();
  INFO(resumed.err);
  const auto usage = usage_of(resumed.json_lines());
  // Only what is new was computed: the reply's last token, the tools' results, the prompt.
  CHECK(usage["cached_tokens"].get<uint64_t>() + 2 >=
        before["input_tokens"].get<uint64_t>() + before["output_tokens"].get<uint64_t>());
  CHECK(usage["cached_tokens"] < usage["input_tokens"]);

  fs::remove_all(world.world().home());
  fs::copy(kept, world.world().home(), fs::copy_options::recursive);
  SECTION("without the cache") { fs::remove_all(cache); }
  SECTION("with a damaged cache") {
    for (const auto& entry : fs::directory_iterator(cache)) {
      if (entry.path().extension() != ".segment") continue;
      std::fstream stream(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
      for (uintmax_t at = 90; at < entry.file_size(); at += 512) {
        stream.seekp(static_cast<std::streamoff>(at));
        stream.put('\x55');
      }
    }
  }
  const auto again = go_on();
  INFO(again.err);
  CHECK(usage_of(again.json_lines())["cached_tokens"] == 0);
  CHECK(tokens_of(again.json_lines()) == tokens_of(resumed.json_lines()));
}

TEST_CASE("Ctrl-C while the model decodes ends the turn within a second, as interrupted") {
  EngineWorld world(0, 100'000);
  auto process = world.world().start(world.arguments("x", {}), "stopped");
  for (int i = 0; i < 3000; ++i) {
    if (world.world().folder().read("stopped.out").find("\"model.requested\"") !=
        std::string::npos) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const auto before = std::chrono::steady_clock::now();
  REQUIRE(process.signal(SIGINT));
  const auto finished = world.world().finish(process, "stopped");
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(5));
  INFO(finished.err);
  CHECK(finished.exit_code == 130);
  const auto ended = data_of(finished.json_lines(), "turn.ended");
  REQUIRE(ended.size() == 1);
  CHECK(ended[0]["status"] == "interrupted");
}

TEST_CASE("a model is found by name or path, and used by the agent that it was made for") {
  EngineWorld world;
  const auto listed = world.world().sable({"model", "list", "--json"});
  REQUIRE(listed.exit_code == 0);
  const auto list = parse_json(listed.out);
  REQUIRE(list);
  bool found = false;
  for (const auto& model : (*list)["models"]) {
    if (model["name"] != "tiny") continue;
    found = true;
    CHECK(model["present"] == true);
    CHECK(model["agent"] == "embedded");
  }
  CHECK(found);
  CHECK(world.world().sable({"model", "list"}).out.find("tiny") != std::string::npos);

  const auto own = world.run("x", {"--max-steps", "1"});
  const auto events = own.json_lines();
  REQUIRE_FALSE(events.empty());
  CHECK(events[0]["data"]["agent"] == "embedded");
  CHECK(events[0]["data"]["model"] == "built-in/tiny");
  CHECK(own.err.find("was trained for") == std::string::npos);

  const auto unfit = world.run("x", {"--max-steps", "1", "--agent", "default"});
  CHECK(unfit.err.find("trained for the agent embedded") != std::string::npos);

  const auto wrong = world.world().sable(
      {"run", "x", "--repo", world.world().repository().string(), "--model", "tinny"});
  CHECK(wrong.exit_code == 1);
  CHECK(wrong.err.find("did you mean tiny?") != std::string::npos);
  const auto missing = world.world().sable(
      {"run", "x", "--repo", world.world().repository().string(), "--model", "./nowhere"});
  CHECK(missing.exit_code == 1);
  CHECK(missing.err.find("nowhere") != std::string::npos);

  const auto info = world.world().sable({"model", "info", world.model().string()});
  CHECK(info.out.find("our own wording") != std::string::npos);
}
