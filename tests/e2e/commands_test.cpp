// Commands that ask and arrange, as programs: what they print, and how they end.
#include <csignal>
#include <fstream>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "tests/e2e/world.h"
#include "tests/support/contains.h"
#include "tools/tools.h"

using namespace sable;
using namespace sable::test;

namespace {

/// A session of one turn that wrote a file.
std::string made_session(World& world) {
  world.play(Json::array(
      {{{"tool_calls",
         Json::array({tool_call("write_file", {{"path", "made.txt"}, {"content", "first\n"}})})}},
       {{"text", "Made it."}}}));
  const auto ran = world.run("make a file", {"--json"});
  INFO(ran.err);
  REQUIRE(ran.exit_code == 0);
  return string_or(ran.json_lines().at(0), "session", "");
}

}  // namespace

TEST_CASE("config show says where each value comes from") {
  World world;
  const auto file = world.folder().write("mine.yaml", "\napprove: none\n");
  std::filesystem::create_directories(world.repository() / ".sable");
  std::ofstream(world.repository() / ".sable" / "config.yaml") << "limits:\n  steps: 7\n";
  const auto shown = object_of(world.sable({"config", "show", "--json", "--config", file.string(),
                                            "--repo", world.repository().string()}));
  const auto setting = [&](const std::string& key) -> Json {
    for (const Json& one : shown["settings"]) {
      if (one["key"] == key) return one;
    }
    return {};
  };
  CHECK(setting("approve")["value"] == "none");
  CHECK(setting("approve")["source"] == file.string());
  CHECK(setting("approve")["line"] == 2);
  CHECK(setting("limits.steps")["value"] == 7);
  CHECK(setting("limits.steps")["layer"] == "repository");
  CHECK(setting("log_level")["layer"] == "built-in");
  CHECK(setting("home")["source"] == "SABLE_HOME");

  const auto wrong = world.folder().write("wrong.yaml", "aprove: none\n");
  const auto refused = world.sable({"config", "show", "--config", wrong.string()});
  CHECK(refused.exit_code != 0);
  CHECK(contains(refused.err, wrong.string() + ":1:1"));
  CHECK(contains(refused.err, "approve"));
}

TEST_CASE("doctor and sandbox explain tell of the same layers") {
  World world;
  const auto doctor = world.sable({"doctor", "--json"});
  REQUIRE(doctor.json_lines().size() == 1);
  const Json found = doctor.json_lines().front();
  CHECK((doctor.exit_code == 0) == found["ok"].get<bool>());
  const Json explained = object_of(world.sable({"sandbox", "explain", "--json"}));
  REQUIRE(found["layers"].size() > 6);
  REQUIRE(explained["layers"].size() > 6);
  size_t n_same = 0;
  for (const Json& layer : explained["layers"]) {
    INFO(dump_json(layer));
    for (const Json& same : found["layers"]) {
      if (same["name"] != layer["name"]) continue;
      CHECK(same["state"] == layer["state"]);
      ++n_same;
    }
  }
  CHECK(n_same == explained["layers"].size());
  CHECK(explained["policy"]["network"] == "none");
  const auto words = world.sable({"sandbox", "explain"});
  CHECK(words.exit_code == 0);
  CHECK(contains(words.out, "seccomp"));
}

TEST_CASE(
    "a session is forked, exported, imported, rewound and deleted, and each says so in JSON") {
  World world;
  const std::string id = made_session(world);

  const Json hit = object_of(world.sable({"session", "search", "made IT", "-n", "1", "--json"}));
  CHECK(hit["session"] == id);
  CHECK(contains(hit["excerpt"].get<std::string>(), "Made it."));
  CHECK(contains(world.sable({"session", "search", "no such words"}).out, "nothing found"));

  const Json fork = object_of(world.sable({"session", "fork", id, "--at", "3", "--json"}));
  CHECK(fork["from"] == id);
  const std::string forked = fork["session"];
  CHECK(forked != id);

  const std::string file = (world.folder() / "kept.session").string();
  const Json exported = object_of(world.sable({"session", "export", id, file, "--json"}));
  CHECK(exported["session"] == id);
  CHECK(exported["file"] == file);
  const auto n_events = world.sable({"session", "events", id}).json_lines().size();
  CHECK(exported["events"] == n_events);

  const auto schema = tools::Schema::compile(
      parse_json(
          read_file(std::filesystem::path(SABLE_SOURCE_DIR) / "docs/events.schema.json").value())
          .value());
  REQUIRE(schema);
  REQUIRE(std::filesystem::exists(world.repository() / "made.txt"));
  const Json rewound = object_of(world.sable({"session", "rewind", id, "--to", "2", "--json"}));
  CHECK(rewound["to"] == 2);
  CHECK(rewound["n_removed"] == 1);
  CHECK_FALSE(std::filesystem::exists(world.repository() / "made.txt"));
  const auto shown = world.sable({"session", "show", id}).out;
  CHECK(contains(shown, "back to event 2: what came after event 2 up to here was taken back"));
  CHECK(contains(shown, "the files went back too: 0 written, 1 removed"));
  const Json undone = object_of(world.sable(
      {"session", "rewind", id, "--to", std::to_string(rewound["undo"].get<int>()), "--json"}));
  CHECK(std::filesystem::exists(world.repository() / "made.txt"));
  for (const std::string& one : {id, forked}) {
    for (const Json& event : world.sable({"session", "events", one}).json_lines()) {
      INFO(dump_json(event));
      CHECK(schema->check(event).empty());
    }
  }

  CHECK(object_of(world.sable({"session", "delete", id, "--json"}))["deleted"] == id);
  CHECK(world.sable({"session", "show", id}).exit_code != 0);
  const Json back = object_of(world.sable({"session", "import", file, "--json"}));
  const auto again = world.sable({"session", "events", back["session"]}).json_lines();
  CHECK(again.size() >= n_events);

  const auto missing = world.sable({"session", "delete", "s_nothing", "--json"});
  CHECK(missing.exit_code != 0);
  REQUIRE(missing.json_lines().size() == 1);
  CHECK(missing.json_lines()[0]["error"]["code"] == "not_found");
}

TEST_CASE("what could not be printed is no success") {
  World world;
  const std::string id = made_session(world);
  const std::vector<std::vector<std::string>> commands = {{"session", "list"},
                                                          {"session", "search", "made"},
                                                          {"session", "show", id},
                                                          {"session", "fork", id, "--json"},
                                                          {"session", "rewind", id, "--to", "2"}};
  for (const auto& command : commands) {
    std::string line = World::program();
    for (const auto& word : command) line += " " + word;
    INFO(line);
    auto process = world.start_program({"/bin/sh", "-c", line + " > /dev/full"}, "full");
    const auto ended = world.finish(process, "full");
    CHECK(ended.exit_code != 0);
    CHECK(contains(ended.err, "sable: "));
  }
}

TEST_CASE("sandbox run ends as its command did, and says what the sandbox did to it") {
  World world;
  const auto ended = [&](const std::string& script, std::vector<std::string> options = {}) {
    std::vector<std::string> command = {"sandbox", "run"};
    command.insert(command.end(), options.begin(), options.end());
    for (const char* word : {"--", "sh", "-c"}) command.emplace_back(word);
    command.push_back(script);
    return world.sable(command);
  };
  CHECK(ended("exit 3").exit_code == 3);
  // A status above 128 is a status; only a signal is a signal.
  for (const int status : {130, 137, 147, 192}) {
    const auto plain = ended("exit " + std::to_string(status));
    CHECK(plain.exit_code == status);
    CHECK(plain.signal == 0);
  }
  CHECK(ended("kill -USR1 $$").signal == SIGUSR1);
  const auto late = ended("trap 'exit 0' TERM; sleep 20 & wait", {"--timeout", "300ms"});
  CHECK(late.exit_code == 124);
  CHECK(contains(late.err, "longer than its limit"));
  const auto killed = ended("sleep 20", {"--timeout", "300ms"});
  CHECK(killed.exit_code == 124);
  CHECK(killed.signal == 0);
  const auto odd = ended("true", {"--timeout", "1.5"});
  CHECK(odd.exit_code != 0);
  CHECK(contains(odd.err, "1.5"));
  CHECK_FALSE(contains(odd.err, "1.5s"));
  const auto made = ended("mkdir -p sub/.git/hooks && touch sub/.git/HEAD",
                          {"--writable", world.repository().string()});
  INFO(made.err);
  CHECK(contains(made.err, "made or replaced what programs outside run or trust: "));
  CHECK(contains(made.err, "sub/.git"));
}

TEST_CASE("sandbox run keeps changes apart, shows them, and applies or drops them as a whole") {
  World world;
  const auto run = [&](const std::string& script, std::vector<std::string> options) {
    std::vector<std::string> command = {"sandbox", "run", "--writable", world.repository().string(),
                                        "--transaction"};
    command.insert(command.end(), options.begin(), options.end());
    for (const char* word : {"--", "sh", "-c"}) command.emplace_back(word);
    command.push_back("cd " + world.repository().string() + " && " + script);
    return world.sable(command);
  };
  const auto made = world.repository() / "made.txt";
  const auto stores = world.home() / "transactions";
  std::filesystem::create_directories(stores / "left/by/a/crash");

  const auto unasked = run("echo new > made.txt", {});
  INFO(unasked.err);
  CHECK(unasked.exit_code == 0);
  CHECK(contains(unasked.err, "created " + made.string()));
  CHECK(contains(unasked.err, "+new\n"));
  CHECK(contains(unasked.err, "--apply yes"));
  CHECK_FALSE(std::filesystem::exists(made));
  CHECK(std::filesystem::is_empty(stores));

  CHECK(run("echo new > made.txt", {"--apply", "no"}).exit_code == 0);
  CHECK_FALSE(std::filesystem::exists(made));
  CHECK(run("echo new > made.txt; exit 3", {"--apply", "yes"}).exit_code == 3);
  CHECK_FALSE(std::filesystem::exists(made));
  const auto protected_too =
      run("echo new > made.txt; mkdir sub; git init -q sub", {"--apply", "yes"});
  CHECK(protected_too.exit_code != 0);
  CHECK(contains(protected_too.err, "(protected: programs outside run or trust it)"));
  CHECK_FALSE(std::filesystem::exists(made));

  const auto applied = run("echo new > made.txt; cat made.txt", {"--apply", "yes"});
  INFO(applied.err);
  CHECK(applied.exit_code == 0);
  CHECK(applied.out == "new\n");
  CHECK(read_file(made, 100).value() == "new\n");
  CHECK(std::filesystem::is_empty(stores));
  CHECK(contains(run("true", {"--no-sandbox"}).err, "--transaction"));

  // What a crash left half applied is applied by the next one, or waits until it can be.
  const auto left = [&](const std::string& name, const std::filesystem::path& root) {
    const auto store = "home/transactions/" + name + "/0";
    const Json state{{"version", 1}, {"root", root.string()}, {"since_ns", 0}, {"applying", true}};
    world.folder().write(store + "/state", dump_json(state));
    world.folder().write(store + "/upper/" + name, "finished");
    std::filesystem::create_directories(world.folder() / (store + "/work"));
  };
  left("half", world.repository());
  left("waiting", world.repository() / "not there now");
  const auto next = run("true", {});
  INFO(next.err);
  CHECK(next.exit_code == 0);
  CHECK(read_file(world.repository() / "half", 100).value() == "finished");
  CHECK_FALSE(std::filesystem::exists(stores / "half"));
  CHECK(std::filesystem::exists(stores / "waiting/0/upper/waiting"));
  CHECK(contains(next.err, "wait in " + (stores / "waiting/0").string()));
  CHECK(world.sable({"sandbox", "run", "--transaction", "--", "true"}).exit_code != 0);
}
