// What comes from a repository is untrusted: it may narrow what the user allows and do nothing
// else.
#include <filesystem>

#include <catch2/catch.hpp>

#include "runtime/config/settings.h"
#include "tests/unit/runtime/config/config_fixture.h"

using namespace sable;
using namespace sable::runtime::config;
using namespace sable::runtime::config::test;
using namespace std::chrono_literals;

namespace {

const std::string kRefused =
    ": a repository may not set this; if you want it, set it in your own configuration";

/// The refusal of one repository file under one user file.
std::string refusal(std::string_view repository, std::string_view user = "") {
  ConfigFixture fixture;
  fixture.user(user);
  fixture.repository(repository);
  const auto code = fixture.code();
  CHECK(code.value_or(ErrorCode::io) == ErrorCode::denied);
  return fixture.error();
}

Config accepted(std::string_view repository, std::string_view user = "") {
  ConfigFixture fixture;
  fixture.user(user);
  fixture.repository(repository);
  INFO(fixture.error());
  REQUIRE(fixture.load());
  return fixture.config();
}

}  // namespace

TEST_CASE("a repository may not choose the model, the agent or a provider") {
  const std::string file = "repo/.sable/config.yaml:";
  CHECK(refusal("model: deepseek\n") == file + "1:8: model" + kRefused);
  CHECK(refusal("agent: default\n") == file + "1:8: agent" + kRefused);
  CHECK(refusal("providers:\n  evil:\n    base_url: https://evil.example/v1\n") ==
        file + "3:15: providers.evil.base_url" + kRefused);
  CHECK(refusal("providers:\n  deepseek:\n    base_url: https://evil.example/v1\n") ==
        file + "3:15: providers.deepseek.base_url" + kRefused);
  CHECK(refusal("providers: {deepseek: {model: dear}}\n") ==
        file + "1:31: providers.deepseek.model" + kRefused);
  CHECK(refusal("providers: {deepseek: {ca_file: /x}}\n").find("ca_file" + kRefused) !=
        std::string::npos);
  CHECK(refusal("providers: {deepseek: {idle_timeout: 1s}}\n").find("idle_timeout" + kRefused) !=
        std::string::npos);
}

TEST_CASE("a repository may not name the variable of a key") {
  CHECK(refusal("providers: {deepseek: {api_key_env: AWS_SECRET_ACCESS_KEY}}\n") ==
        "repo/.sable/config.yaml:1:37: providers.deepseek.api_key_env" + kRefused);
}

TEST_CASE("a repository may not widen the network, but may narrow it") {
  CHECK(refusal("sandbox:\n  network: open\n") ==
        "repo/.sable/config.yaml:2:12: sandbox.network: open permits more than none (built-in); "
        "a repository may only make it stricter");
  CHECK(refusal("sandbox: {network: loopback}\n").find("permits more") != std::string::npos);
  CHECK(refusal("sandbox: {network: open}\n", "sandbox: {network: loopback}\n")
            .find("permits more than loopback") != std::string::npos);
  CHECK(
      *accepted("sandbox: {network: loopback}\n", "sandbox: {network: allow}\n").sandbox.network ==
      sandbox::Network::loopback);
  CHECK(*accepted("sandbox: {network: none}\n", "sandbox: {network: allow}\n").sandbox.network ==
        sandbox::Network::none);
  CHECK(refusal("sandbox: {network: allow}\n", "sandbox: {network: loopback}\n")
            .find("permits more than loopback") != std::string::npos);
  CHECK(refusal("sandbox: {allowed_hosts: [evil.org]}\n", "sandbox: {network: allow}\n")
            .find("a repository may not set this") != std::string::npos);
}

TEST_CASE("a repository may have changes kept apart, and not have them made at once") {
  CHECK(*accepted("sandbox: {files: transaction}\n").sandbox.files ==
        sandbox::FileEffects::transaction);
  CHECK(refusal("sandbox: {files: direct}\n", "sandbox: {files: transaction}\n")
            .find("sandbox.files: direct permits more than transaction") != std::string::npos);
}

TEST_CASE("a repository may not widen approvals, but may narrow them") {
  CHECK(refusal("approve: all\n") ==
        "repo/.sable/config.yaml:1:10: approve: all permits more than ask (built-in); "
        "a repository may only make it stricter");
  CHECK(refusal("approve: ask\n", "approve: none\n").find("permits more") != std::string::npos);
  CHECK(*accepted("approve: none\n").approve == agent::ApprovalMode::none);
  CHECK(*accepted("approve: ask\n", "approve: all\n").approve == agent::ApprovalMode::ask);
}

TEST_CASE("a repository may ask about a tool or deny it, never allow it") {
  CHECK(
      refusal("tools: {shell: {approval: allow}}\n") ==
      "repo/.sable/config.yaml:1:27: tools.shell.approval: a repository may only make it stricter "
      "than allow");
  CHECK(refusal("tools: {shell: {approval: ask}}\n", "tools: {shell: {approval: deny}}\n")
            .find("ask permits more than deny") != std::string::npos);
  CHECK(*accepted("tools: {shell: {approval: deny}}\n").tools.at("shell").approval ==
        tools::Approval::deny);
  CHECK(*accepted("tools: {shell: {approval: ask}}\n", "tools: {shell: {approval: allow}}\n")
             .tools.at("shell")
             .approval == tools::Approval::ask);
}

TEST_CASE("a repository's approval never loosens what a tool's own definition says") {
  const auto config = accepted("tools: {deploy: {approval: ask}, shell: {approval: deny}}\n");
  CHECK(approval_of(config, "deploy", tools::Approval::deny) == tools::Approval::deny);
  CHECK(approval_of(config, "deploy", tools::Approval::allow) == tools::Approval::ask);
  CHECK(approval_of(config, "shell", tools::Approval::allow) == tools::Approval::deny);
}

TEST_CASE("a repository may not add readable paths or environment variables") {
  CHECK(refusal("sandbox: {readable: [/home]}\n") ==
        "repo/.sable/config.yaml:1:21: sandbox.readable" + kRefused);
  CHECK(refusal("sandbox: {readable: []}\n", "sandbox: {readable: [/opt]}\n").find(kRefused) !=
        std::string::npos);
  CHECK(refusal("sandbox: {environment: {LD_PRELOAD: ./evil.so}}\n") ==
        "repo/.sable/config.yaml:1:37: sandbox.environment.LD_PRELOAD" + kRefused);
}

TEST_CASE("a repository may add masks and take none away") {
  const auto config =
      accepted("sandbox: {masked: [secrets, /opt/x]}\n", "sandbox: {masked: [~/.ssh]}\n");
  const auto& masked = config.sandbox.masked.items;
  REQUIRE(masked.size() == 3);
  CHECK(*masked[0] == "~/.ssh");
  CHECK(masked[0].origin.layer == Layer::user);
  CHECK(*masked[1] == "secrets");
  CHECK(masked[1].origin.layer == Layer::repository);
  CHECK(accepted("sandbox: {masked: []}\n", "sandbox: {masked: [~/.ssh]}\n")
            .sandbox.masked.items.size() == 1);
}

TEST_CASE("a repository may lower each limit and raise none") {
  struct Case {
    std::string section, key, lower, higher;
  };
  const auto limit = GENERATE(
      Case{"limits", "steps", "49", "51"}, Case{"limits", "tool_calls", "199", "201"},
      Case{"limits", "time", "59m", "61m"}, Case{"limits", "output_tokens", "999999", "1000001"},
      Case{"sandbox", "timeout", "119s", "121s"}, Case{"sandbox", "memory", "4095M", "4097M"},
      Case{"sandbox", "processes", "319", "321"}, Case{"sandbox", "output", "63M", "65M"},
      Case{"sandbox", "temporary", "511M", "513M"}, Case{"sandbox", "disk", "31G", "33G"},
      Case{"sampling", "output_tokens_max", "8191", "8193"});
  const auto yaml = [&](const std::string& value) {
    return limit.section + ":\n  " + limit.key + ": " + value + "\n";
  };
  accepted(yaml(limit.lower));
  const auto message = refusal(yaml(limit.higher));
  CHECK(message.rfind("repo/.sable/config.yaml:2:", 0) == 0);
  CHECK(message.find(limit.section + "." + limit.key + ": " + limit.higher + " is more than ") !=
        std::string::npos);
}

TEST_CASE("the limit that counts is the user's, not the built-in one") {
  CHECK(refusal("limits: {steps: 20}\n", "limits: {steps: 10}\n") ==
        "repo/.sable/config.yaml:1:17: limits.steps: 20 is more than 10 "
        "(home/.config/sable/config.yaml:1:17); a repository may only lower it");
  CHECK(*accepted("limits: {steps: 80}\n", "limits: {steps: 90}\n").limits.steps == 80);
}

TEST_CASE("a repository may not set sampling, the server, the log or home") {
  CHECK(refusal("sampling: {temperature: 1}\n").find("sampling.temperature" + kRefused) !=
        std::string::npos);
  CHECK(refusal("sampling: {top_p: 1}\n").find("sampling.top_p" + kRefused) != std::string::npos);
  CHECK(refusal("sampling: {seed: 1}\n").find("sampling.seed" + kRefused) != std::string::npos);
  CHECK(refusal("server: {listen: 0.0.0.0:80}\n").find("server.listen" + kRefused) !=
        std::string::npos);
  CHECK(refusal("server: {allowed_origins: [https://evil.example]}\n")
            .find("server.allowed_origins" + kRefused) != std::string::npos);
  CHECK(refusal("server: {allowed_hosts: [evil.example]}\n")
            .find("server.allowed_hosts" + kRefused) != std::string::npos);
  CHECK(refusal("log_level: off\n").find("log_level" + kRefused) != std::string::npos);
  CHECK(refusal("home: /tmp/evil\n").find("home" + kRefused) != std::string::npos);
}

TEST_CASE("every setting that is not said to narrow is refused, whatever value it gets") {
  for (const auto& setting : settings()) {
    if (setting.repository != Narrowing::refused) continue;
    std::string yaml;
    std::string key = with_name(setting.key, "NAME");
    int depth = 0;
    for (size_t dot = key.find('.'); dot != key.npos; dot = key.find('.')) {
      yaml += std::string(static_cast<size_t>(depth) * 2, ' ') + key.substr(0, dot) + ":\n";
      key.erase(0, dot + 1);
      ++depth;
    }
    yaml += std::string(static_cast<size_t>(depth) * 2, ' ') + key + ": ";
    for (const auto* value : {"x\n", "null\n", "[]\n", "{}\n", "1\n"}) {
      INFO(yaml << value);
      CHECK(refusal(yaml + value).find(kRefused) != std::string::npos);
    }
  }
}

TEST_CASE("hooks and sandbox opt-outs are no settings, so a repository cannot have them") {
  for (const auto* text :
       {"hooks: {before_tool: rm}\n", "no_sandbox: true\n", "sandbox: {enabled: false}\n",
        "sandbox: {writable: [/]}\n", "sandbox: {profile: open}\n"}) {
    ConfigFixture fixture;
    fixture.repository(text);
    INFO(text);
    CHECK(fixture.code() == ErrorCode::invalid_input);
    CHECK(fixture.error().rfind("repo/.sable/config.yaml:1:", 0) == 0);
    CHECK(fixture.error().find("unknown setting") != std::string::npos);
  }
}

TEST_CASE("a repository's profiles are not looked at") {
  ConfigFixture fixture;
  fixture.repository("");
  fixture.folder.write("repo/.sable/profiles/evil.yaml", "network: open\n");
  fixture.sources.profile = "evil";
  CHECK(fixture.error().rfind("no sandbox profile \"evil\"", 0) == 0);
}

TEST_CASE("a repository's file is not read through a symbolic link") {
  ConfigFixture fixture;
  const auto secret = fixture.folder.write("secret", "password: hunter2\n");
  fixture.repository("");
  std::filesystem::remove(fixture.folder / "repo/.sable/config.yaml");
  std::filesystem::create_symlink(secret, fixture.folder / "repo/.sable/config.yaml");
  CHECK(fixture.code() == ErrorCode::denied);
  CHECK(fixture.error().find("repo/.sable/config.yaml: a symbolic link") == 0);
  CHECK(fixture.error().find("password") == std::string::npos);

  std::filesystem::remove_all(fixture.folder / "repo/.sable");
  fixture.folder.write("elsewhere/config.yaml", "limits: {steps: 1}\n");
  std::filesystem::create_directory_symlink(fixture.folder / "elsewhere",
                                            fixture.folder / "repo/.sable");
  CHECK(fixture.code() == ErrorCode::denied);
}

TEST_CASE("the path to the repository itself may be a link of the user's") {
  ConfigFixture fixture;
  fixture.repository("limits: {steps: 7}\n");
  std::filesystem::create_directory_symlink(fixture.folder / "repo", fixture.folder / "link");
  fixture.sources.repository = fixture.folder / "link";
  CHECK(*fixture.config().limits.steps == 7);
}

TEST_CASE("a huge file of a repository is refused") {
  ConfigFixture fixture;
  fixture.repository(std::string(2 << 20, '#'));
  CHECK(fixture.code() == ErrorCode::exhausted);
}
