#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "runtime/config/embedded_files.h"
#include "runtime/config/settings.h"
#include "tests/unit/runtime/config/config_fixture.h"

using namespace sable;
using namespace sable::runtime::config;
using namespace sable::runtime::config::test;
using namespace std::chrono_literals;

TEST_CASE("the built-in file sets every setting that has one place") {
  const auto config = built_in_config().value();
  for (const auto& setting : settings()) {
    if (open_mapping_of(setting) != nullptr) continue;
    std::visit(
        [&](const auto& slot) {
          const auto* value = slot.read(config, "");
          INFO(setting.key);
          REQUIRE(value != nullptr);
          CHECK(value->origin.source == "default.yaml");
          CHECK(value->origin.line > 0);
        },
        setting.slot);
  }
}

TEST_CASE("the built-in limits are those of the parts they go to") {
  ConfigFixture fixture;
  const auto loaded = fixture.load().value();
  sandbox::Policy plain;
  const auto policy = to_policy(loaded, {});
  CHECK(policy.network == plain.network);
  CHECK(policy.limits.wall == plain.limits.wall);
  CHECK(policy.limits.memory_bytes == plain.limits.memory_bytes);
  CHECK(policy.limits.processes == plain.limits.processes);
  CHECK(policy.limits.output_bytes == plain.limits.output_bytes);
  CHECK(policy.limits.temporary_bytes == plain.limits.temporary_bytes);
  CHECK(policy.limits.disk_bytes == plain.limits.disk_bytes);
  CHECK(policy.profile == plain.profile);
  CHECK(policy.environment.empty());
  CHECK(policy.readable.empty());
  const agent::TurnLimits turn;
  const auto limits = to_turn_limits(loaded.config.limits);
  CHECK(limits.steps_max == turn.steps_max);
  CHECK(limits.tool_calls_max == turn.tool_calls_max);
  CHECK(limits.time_max == turn.time_max);
  CHECK(limits.output_tokens_max == turn.output_tokens_max);
  const agent::Sampling sampling;
  const auto set = to_sampling(loaded.config.sampling);
  CHECK(set.temperature == sampling.temperature);
  CHECK(set.top_p == sampling.top_p);
  CHECK(set.seed == sampling.seed);
  CHECK(set.output_tokens_max == sampling.output_tokens_max);
}

TEST_CASE("a later layer overrides an earlier one, and each value knows who set it") {
  ConfigFixture fixture;
  fixture.user("limits:\n  steps: 40\n  tool_calls: 40\n  time: 40m\n  output_tokens: 40\n");
  fixture.repository("limits: {steps: 30, tool_calls: 30, time: 30m}\n");
  fixture.file("limits: {tool_calls: 35, time: 35m}\n");
  fixture.flag("--max-time", "limits.time", "45m");
  const auto limits = fixture.config().limits;
  CHECK(*limits.output_tokens == 40);
  CHECK(fixture.shortened(limits.output_tokens.origin.text()) ==
        "home/.config/sable/config.yaml:5:18");
  CHECK(limits.output_tokens.origin.layer == Layer::user);
  CHECK(*limits.steps == 30);
  CHECK(fixture.shortened(limits.steps.origin.text()) == "repo/.sable/config.yaml:1:17");
  CHECK(*limits.tool_calls == 35);
  CHECK(fixture.shortened(limits.tool_calls.origin.text()) == "extra.yaml:1:22");
  CHECK(*limits.time == 45min);
  CHECK(limits.time.origin.text() == "--max-time");
  CHECK(limits.time.origin.layer == Layer::flag);
}

TEST_CASE("an unknown key is refused with its place and the nearest known key") {
  ConfigFixture fixture;
  const auto refused = [&](std::string_view text) {
    fixture.user(text);
    return fixture.error();
  };
  const std::string file = "home/.config/sable/config.yaml:";
  CHECK(refused("modle: x\n") == file + "1:1: unknown setting \"modle\"; did you mean model?");
  CHECK(refused("sandbox:\n  netwrok: none\n") ==
        file + "2:3: unknown setting \"sandbox.netwrok\"; did you mean network?");
  CHECK(refused("timeout: 3s\n") ==
        file + "1:1: unknown setting \"timeout\"; did you mean sandbox.timeout?");
  CHECK(refused("limits: {apples: 3}\n") ==
        file +
            "1:10: unknown setting \"limits.apples\"; "
            "known here: steps, tool_calls, time, output_tokens");
  CHECK(refused("providers: {x: {modle: y}}\n") ==
        file + "1:17: unknown setting \"providers.x.modle\"; did you mean model?");
  CHECK(refused("\"providers.*\": {}\n").rfind(file + "1:1: unknown setting", 0) == 0);
  CHECK(refused("sandbox: {\"environment.*\": x}\n").rfind(file + "1:11: unknown setting", 0) == 0);
  CHECK(refused("sandbox.network: none\n") ==
        file + "1:1: unknown setting \"sandbox.network\"; nest it, one mapping below another");
  CHECK(refused("\"\": 1\n").rfind(file + "1:1: unknown setting", 0) == 0);
  CHECK(refused("\"a\\e[31mb\": 1\n").find('\x1b') == std::string::npos);
  CHECK(refused("\"a\\nb\": 1\n").find('\n') == std::string::npos);
  CHECK(refused("limits: {steps: \"a\\nb\"}\n").find('\n') == std::string::npos);
}

TEST_CASE("a wrong value is refused with its place, the setting and what is expected") {
  ConfigFixture fixture;
  const auto refused = [&](std::string_view text) {
    fixture.user(text);
    return fixture.error();
  };
  const std::string file = "home/.config/sable/config.yaml:";
  CHECK(refused("limits: {steps: many}\n") ==
        file + "1:17: limits.steps: expected a whole number, got \"many\"");
  CHECK(refused("limits: {steps: -1}\n") ==
        file + "1:17: limits.steps: expected a whole number, got \"-1\"");
  CHECK(refused("limits: {steps: 0}\n") ==
        file + "1:17: limits.steps: expected 1 to 1000000, got \"0\"");
  CHECK(refused("limits: {steps: \"5\"}\n") ==
        file + "1:17: limits.steps: expected a whole number, got \"5\"");
  CHECK(refused("limits: {time: 30}\n") ==
        file +
            "1:16: limits.time: expected a duration with its unit such as 500ms, 30s, 10m or "
            "1h, got \"30\"");
  CHECK(refused("sandbox: {memory: 1M}\n") ==
        file + "1:19: sandbox.memory: expected 16M to 16384G, got \"1M\"");
  CHECK(refused("sandbox: {memory: [1]}\n").find("got a list") != std::string::npos);
  CHECK(refused("sandbox: {network: lopback}\n") ==
        file +
            "1:20: sandbox.network: expected open or allow or loopback or none, got \"lopback\"; "
            "did you "
            "mean loopback?");
  CHECK(refused("sandbox: {allowed_hosts: [https://example.org/x]}\n") ==
        file +
            "1:27: sandbox.allowed_hosts: expected a host such as example.org, *.example.org:8443 "
            "or 10.0.0.7:5000/private, without a scheme and a path");
  CHECK(refused("sandbox: {readable: /usr}\n") ==
        file + "1:21: sandbox.readable: expected a list, got \"/usr\"");
  CHECK(refused("sandbox: {readable: [/a, usr]}\n") ==
        file + "1:26: sandbox.readable: expected an absolute path, or one that begins with \"~/\"");
  CHECK(refused("sandbox: {masked: [a/../../b]}\n") ==
        file + "1:20: sandbox.masked: expected a path without \"..\"");
  CHECK(refused("sandbox: none\n") == file + "1:10: sandbox: expected a mapping of settings");
  CHECK(refused("- a\n") == file + "1:1: expected a mapping of settings");
  CHECK(refused("sampling: {temperature: 2.5}\n") ==
        file + "1:25: sampling.temperature: expected a number from 0 to 2, got \"2.5\"");
  CHECK(refused("sampling: {top_p: .nan}\n").find("expected a number") != std::string::npos);
  CHECK(refused("server: {listen: 7433}\n").find("expected ADDRESS:PORT") != std::string::npos);
  CHECK(refused("server: {listen: \"::1:80\"}\n").find("expected ADDRESS:PORT") !=
        std::string::npos);
  CHECK(refused("server: {allowed_origins: [\"*\"]}\n").find("expected an origin") !=
        std::string::npos);
  CHECK(refused("providers: {x y: {model: m}}\n") ==
        file +
            "1:13: providers: expected a provider's name of 1 to 64 letters, digits, \"_\" and "
            "\"-\"");
  CHECK(refused("providers: {x: {}}\n") == file + "1:13: providers.x: nothing is set for it");
  CHECK(refused("sandbox: {environment: {\"A=B\": c}}\n").find("expected a variable's name") !=
        std::string::npos);
  CHECK(refused("home: here\n").find("1:7: home: expected an absolute path") != std::string::npos);
  CHECK(refused("a: [\n").rfind(file, 0) == 0);
}

TEST_CASE("a provider without a URL or a model is refused where it was begun") {
  ConfigFixture fixture;
  fixture.user("providers:\n  near:\n    base_url: http://127.0.0.1:8000/v1\n");
  CHECK(fixture.error() == "home/.config/sable/config.yaml:3:15: providers.near: model is missing");
  fixture.user("providers:\n  near:\n    api_key_env: KEY\n");
  CHECK(fixture.error() ==
        "home/.config/sable/config.yaml:3:18: providers.near: base_url is missing");
  fixture.user("providers:\n  deepseek:\n    model: deepseek-reasoner\n");
  CHECK(*fixture.config().providers.at("deepseek").model == "deepseek-reasoner");
}

TEST_CASE("a key in a file is refused with an explanation, and never repeated") {
  ConfigFixture fixture;
  fixture.user("providers:\n  near:\n    api_key: sk-SECRET\n");
  CHECK(fixture.error() ==
        "home/.config/sable/config.yaml:3:5: providers.near.api_key: a key does not belong into a "
        "file; put it into an environment variable and name that in api_key_env");
  for (const auto* text : {"providers: {near: {api_key_env: sk-SECRET}}\n",
                           "providers: {near: {base_url: \"https://me:SECRET@example.org/v1\"}}\n",
                           "providers: {near: {base_url: \"https://example.org/v1?key=SECRET\"}}\n",
                           "providers: {near: {base_url: [SECRET]}}\n"}) {
    fixture.user(text);
    INFO(text);
    CHECK(fixture.code() == ErrorCode::invalid_input);
    CHECK(fixture.error().find("SECRET") == std::string::npos);
  }
}

TEST_CASE("a URL is kept without a slash at its end") {
  ConfigFixture fixture;
  fixture.user("providers: {near: {base_url: \"http://127.0.0.1:8000/v1/\", model: m}}\n");
  CHECK(*fixture.config().providers.at("near").base_url == "http://127.0.0.1:8000/v1");
}

TEST_CASE("lists replace each other, but masks add up over layers and flags") {
  ConfigFixture fixture;
  fixture.user("sandbox: {readable: [/opt/a, /opt/b], masked: [~/.ssh]}\n");
  fixture.repository("sandbox: {masked: [secrets]}\n");
  fixture.file("sandbox: {readable: [/opt/c]}\n");
  fixture.flag("--masked", "sandbox.masked", "/opt/d");
  fixture.flag("--masked", "sandbox.masked", "/opt/e");
  const auto loaded = fixture.load().value();
  REQUIRE(loaded.config.sandbox.readable.items.size() == 1);
  const auto policy = to_policy(loaded, "/repo");
  const auto home = fixture.folder / "home";
  CHECK(policy.masked == std::vector<std::filesystem::path>{home / ".ssh", "/repo/secrets",
                                                            "/opt/d", "/opt/e",
                                                            home / ".local/share/sable"});
  CHECK(to_policy(loaded, {}).masked.size() == 4);

  ConfigFixture flags;
  flags.user("sandbox: {readable: [/opt/a]}\n");
  flags.flag("--readable", "sandbox.readable", "/opt/x");
  flags.flag("--readable", "sandbox.readable", "/opt/y");
  const auto readable = flags.config().sandbox.readable.items;
  REQUIRE(readable.size() == 2);
  CHECK(*readable[0] == "/opt/x");
  CHECK(*readable[1] == "/opt/y");
}

TEST_CASE("flags reach the entries of mappings and are checked like files") {
  ConfigFixture fixture;
  fixture.flag("--tool", "tools.shell.approval", "deny");
  fixture.flag("--env", "sandbox.environment.LANG", "C.UTF-8");
  const auto config = fixture.config();
  CHECK(*config.tools.at("shell").approval == tools::Approval::deny);
  CHECK(*config.sandbox.environment.at("LANG") == "C.UTF-8");
  fixture.flag("--timeout", "sandbox.timeout", "soon");
  CHECK(fixture.error().rfind("--timeout: sandbox.timeout: expected a duration", 0) == 0);
}

TEST_CASE("home comes from SABLE_HOME, then a file, then the XDG data folder") {
  ConfigFixture fixture;
  CHECK(*fixture.config().home == (fixture.folder / "home/.local/share/sable").string());
  CHECK(fixture.config().home.origin.text() == "built-in");
  fixture.sources.environment.xdg_data_home = "relative";
  CHECK(*fixture.config().home == (fixture.folder / "home/.local/share/sable").string());
  fixture.sources.environment.xdg_data_home = "/data";
  CHECK(*fixture.config().home == "/data/sable");
  fixture.user("home: ~/elsewhere/./\n");
  CHECK(*fixture.config().home == (fixture.folder / "home/elsewhere/").string());
  fixture.sources.environment.sable_home = "/var/sable";
  CHECK(*fixture.config().home == "/var/sable");
  CHECK(fixture.config().home.origin.text() == "SABLE_HOME");
  fixture.file("home: /from/file\n");
  CHECK(*fixture.config().home == "/from/file");
}

TEST_CASE("without HOME and the XDG folders only an explicit home works") {
  Sources sources;
  REQUIRE_FALSE(load(sources));
  CHECK(load(sources).error().message.find("set SABLE_HOME") != std::string::npos);
  sources.environment.sable_home = "/var/sable";
  CHECK(load(sources).value().config.home.value == "/var/sable");
}

TEST_CASE("the user's file lies in the XDG configuration folder") {
  ConfigFixture fixture;
  fixture.folder.write("xdg/sable/config.yaml", "agent: mine\n");
  CHECK(*fixture.config().agent == "default");
  fixture.sources.environment.xdg_config_home = (fixture.folder / "xdg").string();
  CHECK(*fixture.config().agent == "mine");
}

TEST_CASE("files that are named must be there; the others may be missing") {
  ConfigFixture fixture;
  fixture.sources.repository = fixture.folder / "repo";
  const auto loaded = fixture.load();
  REQUIRE(loaded);
  REQUIRE(loaded->files.size() == 2);
  CHECK_FALSE(loaded->files[0].found);
  CHECK(loaded->files[1].layer == Layer::repository);
  CHECK_FALSE(loaded->files[1].found);
  fixture.sources.file = fixture.folder / "nowhere.yaml";
  CHECK(fixture.error() == "nowhere.yaml: no such file");
  fixture.sources.file.reset();
  fixture.sources.repository = fixture.folder / "nowhere";
  CHECK(fixture.error() == "nowhere: no such folder");
  CHECK(fixture.code() == ErrorCode::not_found);
  fixture.sources.repository = fixture.folder.write("a_file", "x");
  CHECK(fixture.error() == "a_file: not a folder");
}

TEST_CASE("empty files and empty sections set nothing") {
  ConfigFixture fixture;
  for (const auto* text : {"", "# nothing\n", "sandbox:\nlimits: {}\nproviders:\n"}) {
    fixture.user(text);
    CHECK(fixture.error() == "accepted");
  }
}

TEST_CASE("a model is a provider, a path, or a mistake with the nearest name") {
  ConfigFixture fixture;
  const auto chosen = [&] {
    const auto loaded = fixture.load().value();
    const auto choice = choose_model(loaded);
    if (!choice) return fixture.shortened(choice.error().message);
    if (choice->provider != nullptr) return "provider " + choice->name;
    return choice->path.empty() ? "none" : "path " + fixture.shortened(choice->path.string());
  };
  CHECK(chosen() == "none");
  fixture.user("model: deepseek\n");
  CHECK(chosen() == "provider deepseek");
  fixture.user("model: deepsek\n");
  CHECK(chosen() ==
        "home/.config/sable/config.yaml:1:8: model: no provider or model \"deepsek\"; did you mean "
        "deepseek?; a path of weights has a \"/\" in it");
  fixture.user("model: ~/weights/v4\n");
  CHECK(chosen() == "path home/weights/v4");
  fixture.user("model: weights/v4\n");
  CHECK(chosen().find("must be absolute") != std::string::npos);
  fixture.flag("--model", "model", "./v4");
  CHECK(chosen() == "path ./v4");
}

TEST_CASE("a provider's settings become those of its client") {
  ConfigFixture fixture;
  fixture.user(
      "providers: {near: {base_url: http://127.0.0.1:8000/v1, model: m, idle_timeout: 5s}}\n");
  const auto config = fixture.config();
  const auto options = to_openai_options("near", config.providers.at("near"), "key");
  CHECK(options.name == "near");
  CHECK(options.base_url == "http://127.0.0.1:8000/v1");
  CHECK(options.model == "m");
  CHECK(options.api_key == "key");
  CHECK(options.idle_timeout == 5s);
}

TEST_CASE("a user's approval replaces what a tool's definition says") {
  ConfigFixture fixture;
  fixture.user("tools: {fetch: {approval: allow}}\n");
  const auto config = fixture.config();
  CHECK(approval_of(config, "fetch", tools::Approval::deny) == tools::Approval::allow);
  CHECK(approval_of(config, "other", tools::Approval::ask) == tools::Approval::ask);
}

TEST_CASE("any bytes as a configuration are accepted or refused with the file's name") {
  ConfigFixture fixture;
  rc::prop("no crash", [&](const std::string& bytes) {
    fixture.user(bytes);
    const auto loaded = fixture.load();
    if (!loaded) RC_ASSERT(loaded.error().message.find("config.yaml") != std::string::npos);
  });
}

TEST_CASE("a profile lies on top of the sandbox settings and below the flags") {
  ConfigFixture fixture;
  fixture.user("sandbox: {timeout: 10m, network: allow, masked: [~/.ssh]}\n");
  fixture.sources.profile = "strict";
  fixture.flag("--memory", "sandbox.memory", "1G");
  const auto loaded = fixture.load().value();
  CHECK(loaded.config.sandbox.timeout.value == 20s);
  CHECK(loaded.config.sandbox.timeout.origin.text() == "profiles/strict.yaml:3:10");
  CHECK(loaded.config.sandbox.network.value == sandbox::Network::none);
  CHECK(loaded.config.sandbox.memory.value == 1073741824u);
  CHECK(to_policy(loaded, {}).profile == "strict");
  CHECK(to_policy(loaded, {}).masked.front() == fixture.folder / "home/.ssh");
}

TEST_CASE("an open network is asked for by a flag, and by no file") {
  const std::string sentence =
      "sandbox.network: open does without the sandbox's network, which no file can ask for: only "
      "you "
      "can, by --network open on the command line";
  {
    ConfigFixture fixture;
    fixture.user("sandbox:\n  network: open\n");
    CHECK(fixture.code() == ErrorCode::denied);
    CHECK(fixture.error().find("config.yaml:2:12: " + sentence) != std::string::npos);
  }
  {
    ConfigFixture fixture;
    fixture.file("sandbox: {network: open}\n");
    CHECK(fixture.error().find(sentence) != std::string::npos);
  }
  {
    ConfigFixture fixture;
    fixture.folder.write("home/.config/sable/profiles/wide.yaml", "network: open\n");
    fixture.sources.profile = "wide";
    CHECK(fixture.error().find("network: open does without") != std::string::npos);
  }
  ConfigFixture fixture;
  fixture.flag("--network", "sandbox.network", "open");
  CHECK(to_policy(fixture.load().value(), {}).network == sandbox::Network::open);
}

TEST_CASE("the hosts that a command may talk to come from the configuration") {
  ConfigFixture fixture;
  fixture.user(
      "sandbox: {network: allow, allowed_hosts: [example.org, '*.Example.com:8443/private']}\n");
  const auto policy = to_policy(fixture.load().value(), {});
  CHECK(policy.network == sandbox::Network::allow);
  const std::vector<sandbox::AllowedHost> expected = {
      {.name = "example.org"}, {.name = "*.example.com", .port = 8443, .private_addresses = true}};
  CHECK(policy.allowed_hosts == expected);
}

TEST_CASE("every built-in profile loads, and none widens the network") {
  size_t n_profiles = 0;
  for (const auto& file : embedded_files()) {
    const std::filesystem::path path(file.path);
    if (path.parent_path() != "profiles") continue;
    ++n_profiles;
    ConfigFixture fixture;
    fixture.sources.profile = path.stem().string();
    INFO(fixture.error());
    REQUIRE(fixture.load());
    CHECK(*fixture.config().sandbox.network == sandbox::Network::none);
  }
  CHECK(n_profiles == 3);
}

TEST_CASE("the profile \"tool\" is the sandbox settings as they are") {
  ConfigFixture fixture;
  fixture.user("sandbox: {timeout: 10m}\n");
  CHECK(*fixture.config().sandbox.timeout == 10min);
}

TEST_CASE("a profile inherits another and says only what differs") {
  ConfigFixture fixture;
  const auto write = [&](const std::string& name, const std::string& text) {
    fixture.folder.write("home/.config/sable/profiles/" + name + ".yaml", text);
  };
  write("careful", "inherits: strict\ntimeout: 7s\nfiles: transaction\n");
  write("mine", "inherits: careful\nprocesses: 9\n");
  fixture.sources.profile = "mine";
  const auto loaded = fixture.load().value();
  CHECK(*loaded.config.sandbox.processes == 9);
  CHECK(*loaded.config.sandbox.timeout == 7s);
  CHECK(loaded.config.sandbox.memory.origin.text() == "profiles/strict.yaml:4:9");
  CHECK(to_policy(loaded, {}).profile == "mine");
  CHECK(to_policy(loaded, {}).files == sandbox::FileEffects::transaction);
  // Its own name is the built-in one that it replaces.
  write("strict", "inherits: strict\nprocesses: 5\n");
  fixture.sources.profile = "strict";
  CHECK(*fixture.config().sandbox.timeout == 20s);
  CHECK(*fixture.config().sandbox.processes == 5);

  write("careful", "inherits: mine\n");
  fixture.sources.profile = "mine";
  CHECK_THAT(fixture.error(), Catch::Contains("inherits itself"));
  write("careful", "inherits: [strict]\n");
  CHECK_THAT(fixture.error(), Catch::Contains("careful.yaml:1:11"));
  write("careful", "\ninherits: nobody\n");
  CHECK_THAT(fixture.error(), Catch::Contains("careful.yaml:2:11: no sandbox profile \"nobody\""));
}

TEST_CASE("users have profiles of their own; unknown ones name the nearest") {
  ConfigFixture fixture;
  fixture.folder.write("home/.config/sable/profiles/mine.yaml", "description: d\ntimeout: 7s\n");
  fixture.sources.profile = "mine";
  CHECK(*fixture.config().sandbox.timeout == 7s);
  fixture.sources.profile = "mien";
  CHECK(fixture.error() == "no sandbox profile \"mien\"; did you mean mine?");
  fixture.sources.profile = "../../etc/passwd";
  CHECK(fixture.error() ==
        "no sandbox profile \"../../etc/passwd\"; there are: build, mine, strict, tool");
  fixture.folder.write("home/.config/sable/profiles/mine.yaml", "limits: {steps: 1}\n");
  fixture.sources.profile = "mine";
  CHECK(fixture.error().rfind("home/.config/sable/profiles/mine.yaml:1:1: unknown setting", 0) ==
        0);
}
