// Plans on machines that exist only in the test.
#include "sandbox/planner.h"

#include <map>

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::sandbox;

namespace {

PathFacts folder(const std::string& path, uint64_t inode) {
  return {.kind = PathFacts::Kind::folder, .canonical = path, .device = 1, .inode = inode};
}

PathFacts file(const std::string& path, uint64_t inode) {
  return {.kind = PathFacts::Kind::file, .canonical = path, .device = 1, .inode = inode};
}

// A small merged-usr machine with one repository.
std::map<std::string, PathFacts> machine() {
  std::map<std::string, PathFacts> paths;
  paths["/usr"] = folder("/usr", 2);
  paths["/bin"] = {.kind = PathFacts::Kind::folder,
                   .canonical = "/usr/bin",
                   .link_text = "usr/bin",
                   .first_link = "/bin",
                   .device = 1,
                   .inode = 3};
  paths["/etc/passwd"] = file("/etc/passwd", 4);
  paths["/dev/null"] = {
      .kind = PathFacts::Kind::device, .canonical = "/dev/null", .device = 5, .inode = 5};
  paths["/home/me/repo"] = folder("/home/me/repo", 10);
  paths["/home/me/repo/.git"] = folder("/home/me/repo/.git", 11);
  paths["/home/me/repo/.git/hooks"] = folder("/home/me/repo/.git/hooks", 12);
  paths["/home/me/repo/.git/config"] = file("/home/me/repo/.git/config", 13);
  paths["/home/me/repo/secret"] = file("/home/me/repo/secret", 14);
  paths["/home/me/tools"] = folder("/home/me/tools", 15);
  return paths;
}

Host host_with(std::map<std::string, PathFacts> paths) {
  Host host{.user = 1000, .group = 1000, .landlock_abi = 7, .own_pid_max = true};
  host.look_up = [paths = std::move(paths)](const std::filesystem::path& path) {
    const auto found = paths.find(path.string());
    return found == paths.end() ? PathFacts{} : found->second;
  };
  host.look_up_system = host.look_up;
  return host;
}

const ViewEntry* find(const Plan& plan, ViewKind kind, const std::string& target) {
  for (const auto& entry : plan.view) {
    if (entry.kind == kind && entry.target == target) return &entry;
  }
  return nullptr;
}

size_t position(const Plan& plan, const ViewEntry* entry) {
  REQUIRE(entry != nullptr);
  return static_cast<size_t>(entry - plan.view.data());
}

const Command kTrue{.argv = {"true"}};

}  // namespace

TEST_CASE("a view holds the system read-only and the writable root at its own path") {
  const auto plan = make_plan({.writable = {"/home/me/repo"}}, host_with(machine()));
  REQUIRE(plan);
  const auto* usr = find(*plan, ViewKind::bind, "/usr");
  REQUIRE(usr);
  CHECK(usr->access == Access::read);
  const auto* bin = find(*plan, ViewKind::symlink, "/bin");
  REQUIRE(bin);
  CHECK(bin->source == "usr/bin");
  const auto* repo = find(*plan, ViewKind::bind, "/home/me/repo");
  REQUIRE(repo);
  CHECK(repo->access == Access::write);
  CHECK(repo->inode == 10);
  CHECK(find(*plan, ViewKind::directory, "/home"));
  CHECK(find(*plan, ViewKind::directory, "/home/me"));
  const auto execution =
      make_execution({.writable = {"/home/me/repo"}}, kTrue, host_with(machine()));
  REQUIRE(execution);
  CHECK(execution->working_directory == "/home/me/repo");
  CHECK(execution->programs.front() == "/usr/local/bin/true");
}

TEST_CASE("nothing outside the policy is in the view") {
  auto paths = machine();
  paths["/etc/shadow"] = file("/etc/shadow", 20);
  paths["/root"] = folder("/root", 21);
  const auto plan = make_plan({.writable = {"/home/me/repo"}}, host_with(paths));
  REQUIRE(plan);
  for (const auto& entry : plan->view) {
    INFO(entry.target);
    CHECK(entry.target != "/etc/shadow");
    CHECK(entry.target != "/root");
    if (entry.access == Access::write && entry.kind == ViewKind::bind) {
      CHECK(entry.target.rfind("/home/me/repo", 0) == 0);
    }
  }
}

TEST_CASE("protected paths lie over their writable root: pinned or read-only, parents first") {
  const ProtectedPaths held = {
      {"/home/me/repo/.git",
       {.hold = ProtectedPath::Hold::pinned, .folder = true, .device = 1, .inode = 11}},
      {"/home/me/repo/.git/config", {.device = 1, .inode = 13}},
      {"/home/me/elsewhere/.envrc", {.device = 1, .inode = 14}}};
  const auto plan = make_plan({.writable = {"/home/me/repo"}}, host_with(machine()), held);
  REQUIRE(plan);
  const auto* root = find(*plan, ViewKind::bind, "/home/me/repo");
  const auto* git = find(*plan, ViewKind::bind, "/home/me/repo/.git");
  const auto* config = find(*plan, ViewKind::bind, "/home/me/repo/.git/config");
  CHECK(position(*plan, root) < position(*plan, git));
  CHECK(position(*plan, git) < position(*plan, config));
  CHECK(git->access == Access::write);
  CHECK(config->access == Access::none);  // mounted read-only, no right of its own
  CHECK(config->inode == 13);
  CHECK_FALSE(find(*plan, ViewKind::bind, "/home/me/elsewhere/.envrc"));
}

TEST_CASE(
    "a readable folder below /tmp is shown through a link, out of reach of what /tmp grants") {
  auto paths = machine();
  paths["/tmp/data"] = folder("/tmp/data", 40);
  const auto plan = make_plan({.readable = {"/tmp/data"}}, host_with(paths));
  REQUIRE(plan);
  const auto* link = find(*plan, ViewKind::symlink, "/tmp/data");
  REQUIRE(link);
  const auto* mount = find(*plan, ViewKind::bind, link->source);
  REQUIRE(mount);
  CHECK(mount->source == "/tmp/data");
  CHECK(mount->access == Access::read);
}

TEST_CASE("masks lie on top of everything else") {
  const auto plan = make_plan({.writable = {"/home/me/repo"}, .masked = {"/home/me/repo/secret"}},
                              host_with(machine()));
  REQUIRE(plan);
  CHECK(plan->view.back().kind == ViewKind::cover_file);
  CHECK(plan->view.back().target == "/home/me/repo/secret");
}

TEST_CASE("paths that cannot be granted are refused by name") {
  auto paths = machine();
  paths["/"] = folder("/", 1);
  paths["/proc/sys"] = folder("/proc/sys", 30);
  paths["/home/me/repo/link/x"] = {.kind = PathFacts::Kind::file,
                                   .canonical = "/etc/shadow",
                                   .first_link = "/home/me/repo/link",
                                   .device = 1,
                                   .inode = 31};
  const Host host = host_with(paths);
  const auto refuse = [&](Policy policy, const std::string& word) {
    const auto plan = make_plan(policy, host);
    REQUIRE_FALSE(plan);
    CHECK(plan.error().code == ErrorCode::invalid_input);
    CHECK_THAT(plan.error().message, Catch::Contains(word));
  };
  refuse({.writable = {"/"}}, "whole file system");
  refuse({.writable = {"/nowhere"}}, "does not exist");
  refuse({.writable = {"relative"}}, "not absolute");
  refuse({.writable = {"/proc/sys"}}, "belongs to the sandbox");
  refuse({.readable = {"/home/me/repo/link/x"}, .writable = {"/home/me/repo"}}, "symbolic link");
}

TEST_CASE("the environment is the fixed one and the policy's, and nothing of ours") {
  ::setenv("SABLE_TEST_SECRET", "s", 1);
  const auto execution = make_execution(
      {.writable = {"/home/me/repo"}, .environment = {{"A", "b"}, {"TERM", "vt100"}}}, kTrue,
      host_with(machine()));
  REQUIRE(execution);
  const auto& variables = execution->environment;
  CHECK(variables.size() == fixed_environment().size() + 1);
  CHECK(std::count(variables.begin(), variables.end(), "A=b") == 1);
  CHECK(std::count(variables.begin(), variables.end(), "TERM=vt100") == 1);
  CHECK_FALSE(make_execution({.environment = {{"A=B", "c"}}}, kTrue, host_with(machine())));
}

TEST_CASE("a machine that cannot bound processes or lacks Landlock gets a refusal") {
  Host host = host_with(machine());
  host.user = 0;
  host.own_pid_max = false;
  auto plan = make_plan({}, host);
  REQUIRE_FALSE(plan);
  CHECK(plan.error().code == ErrorCode::unsupported);
  CHECK_THAT(plan.error().message, Catch::Contains("6.14"));
  host.own_pid_max = true;
  host.landlock_abi = 0;
  plan = make_plan({}, host);
  REQUIRE_FALSE(plan);
  CHECK_THAT(plan.error().message, Catch::Contains("Landlock"));
}

TEST_CASE("an empty command and a NUL in an argument are refused") {
  CHECK_FALSE(make_execution({}, {}, host_with(machine())));
  CHECK_FALSE(make_execution({}, {.argv = {"true", std::string("a\0b", 3)}}, host_with(machine())));
}
