// The sandbox of one tool: a profile and further limits, which only ever narrow the session's.
#include <catch2/catch.hpp>

#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"
#include "tools/narrowed_policy.h"

using namespace sable;
using namespace sable::tools;
using sandbox::Network;
using sandbox::Policy;

namespace {

std::string tool_with(const std::string& sandbox, const std::string& script) {
  return "tools:\n"
         "  - name: narrow\n"
         "    description: d\n"
         "    parameters: {type: object}\n"
         "    run: {argv: [sh, -c, '" +
         script + "']}\n    sandbox: " + sandbox + "\n";
}

}  // namespace

TEST_CASE("a profile takes away and never gives") {
  Policy session;
  session.readable = {"/opt/data", "/srv"};
  session.masked = {"/opt/data/keys"};
  session.writable = {"/work"};
  session.environment = {{"WORD", "kept"}};
  session.network = Network::loopback;
  session.limits = {.wall = std::chrono::seconds(60), .memory_bytes = 100, .processes = 7};
  Policy profile;
  profile.profile = "strict";
  profile.readable = {"/opt", "/srv/public", "/home"};
  profile.masked = {"/srv/public/x"};
  profile.writable = {"/"};
  profile.environment = {{"OTHER", "no"}};
  profile.network = Network::open;
  profile.limits = {.wall = std::chrono::seconds(90), .memory_bytes = 50, .processes = 70};
  session.files = sandbox::FileEffects::transaction;
  const Policy narrow = narrowed_to(session, profile);
  CHECK(narrow.profile == "strict");
  CHECK(narrow.readable == std::vector<std::filesystem::path>{"/opt/data", "/srv/public"});
  CHECK(narrow.masked == std::vector<std::filesystem::path>{"/opt/data/keys", "/srv/public/x"});
  CHECK(narrow.writable == session.writable);
  CHECK(narrow.environment == session.environment);
  CHECK(narrow.network == Network::loopback);
  CHECK(narrow.limits.wall == std::chrono::seconds(60));
  CHECK(narrow.limits.memory_bytes == 50);
  CHECK(narrow.limits.processes == 7);
  CHECK(narrow.files == sandbox::FileEffects::transaction);
  CHECK(narrowed_to({}, session).files == sandbox::FileEffects::transaction);
}

TEST_CASE("a name that only begins like a readable folder is not below it") {
  Policy session, profile;
  session.readable = {"/opt/database"};
  profile.readable = {"/opt/data"};
  CHECK(narrowed_to(session, profile).readable.empty());
}

TEST_CASE("only hosts that both allow are reached") {
  const sandbox::AllowedHost a{.name = "a.example"}, b{.name = "b.example"}, c{.name = "c.example"};
  Policy session{.network = Network::allow, .allowed_hosts = {a, b}};
  Policy profile{.network = Network::allow, .allowed_hosts = {b, c}};
  CHECK(narrowed_to(session, profile).allowed_hosts == std::vector{b});
  session.network = Network::open;
  CHECK(narrowed_to(session, profile).network == Network::allow);
  CHECK(narrowed_to(session, profile).allowed_hosts == profile.allowed_hosts);
  session.network = Network::allow;
  profile.network = Network::open;
  CHECK(narrowed_to(session, profile).allowed_hosts == session.allowed_hosts);
  profile.network = Network::none;
  CHECK(narrowed_to(session, profile).network == Network::none);
}

TEST_CASE("a tool of a file runs under the profile that it names") {
  test::SandboxedTools at;
  at.registry.use_profiles([](const std::string& name) -> Result<Policy> {
    if (name != "short") return fail(ErrorCode::not_found, "no sandbox profile; there is: short");
    return Policy{.profile = "short", .limits = {.wall = std::chrono::milliseconds(200)}};
  });
  REQUIRE(at.registry.add_yaml(tool_with("{profile: short}", "sleep 30"), "t.yaml"));
  CHECK(contains(at.call("narrow", Json::object()).text, "its time was over"));
}

TEST_CASE("a tool of a file can give up parts of the workspace") {
  test::SandboxedTools at;
  at.folder.write("secret/key", "PRIVATE");
  at.folder.write("open", "public\n");
  REQUIRE(at.registry.add_yaml(
      tool_with("{masked: [secret], workspace: read-only}", "cat open secret/key; echo x > open"),
      "t.yaml"));
  const auto outcome = at.call("narrow", Json::object());
  CHECK(contains(outcome.text, "public\n"));
  INFO(outcome.text);
  CHECK_FALSE(contains(outcome.text, "PRIVATE"));
  CHECK(at.folder.read("open") == "public\n");
}

TEST_CASE("a profile that is not there, and one where none is known, are named with their place") {
  Registry registry;
  const auto unknown = registry.add_yaml(tool_with("{profile: strict}", "true"), "t.yaml");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().message == "t.yaml:6:24: sandbox profiles are not known here");
  registry.use_profiles([](const std::string&) -> Result<Policy> {
    return fail(ErrorCode::not_found, "no sandbox profile \"strikt\"; did you mean strict?");
  });
  CHECK(
      contains(registry.add_yaml(tool_with("{profile: strikt}", "true"), "t.yaml").error().message,
               "t.yaml:6:24: no sandbox profile \"strikt\"; did you mean strict?"));
  for (const char* wider :
       {"{network: open}", "{network: allow}", "{workspace: writable}", "{files: direct}"}) {
    CHECK(contains(registry.add_yaml(tool_with(wider, "true"), "t.yaml").error().message,
                   "can only give up"));
  }
}
