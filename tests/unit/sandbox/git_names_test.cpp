// What git's settings name is held like hooks: found, kept up to date, enforced and told.
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "sandbox/protected_paths.h"
#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable::sandbox;
using sable::test::SandboxRunner;
using sable::test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

using Hold = ProtectedPath::Hold;
using NameList = std::vector<std::string>;

ProtectedPaths look_again(ProtectedIndex& index) {
  index.look();
  return *index.found();
}

NameList below(const TemporaryFolder& folder, const std::vector<fs::path>& paths) {
  NameList result;
  for (const auto& path : paths) result.push_back(path.lexically_relative(folder.path()).string());
  return result;
}

constexpr const char* kHooksElsewhere = "[core]\n\thooksPath = tools/hooks\n";

}  // namespace

TEST_CASE("a hooks folder elsewhere is held, and what lies around it cannot be moved") {
  TemporaryFolder folder;
  folder.write(".git/config", kHooksElsewhere);
  folder.write("tools/hooks/pre-commit", "");
  folder.write("tools/other", "");
  ProtectedIndex index(folder.path());
  const auto found = look_again(index);
  CHECK(found.at(folder / "tools").hold == Hold::pinned);
  CHECK(found.at(folder / "tools/hooks").hold == Hold::read_only);
  CHECK(index.named_by_git(folder / "tools/hooks/new") ==
        "git's setting core.hookspath in " + (folder / ".git/config").string() + " names it");
  CHECK(index.named_by_git(folder / "tools/other").empty());
}

TEST_CASE("a folder held open never opens one that is held shut above it") {
  TemporaryFolder folder;
  folder.write(".husky/a/b/pre-commit", "");
  folder.write("tools/in/run.sh", "");
  folder.write("tools/nested/.git/config", "");
  folder.write(".git/config",
               "[core]\n\thooksPath = .husky/a/b\n\tfsmonitor = tools/in/run.sh\n"
               "[init]\n\ttemplateDir = tools\n");
  ProtectedIndex index(folder.path());
  const auto found = look_again(index);
  CHECK(found.at(folder / ".husky").hold == Hold::read_only);
  CHECK(found.count(folder / ".husky/a") == 0);
  CHECK(found.at(folder / "tools").hold == Hold::read_only);
  CHECK(found.count(folder / "tools/in") == 0);
  CHECK(found.count(folder / "tools/nested/.git") == 0);
  CHECK(found.at(folder / "tools/nested/.git/config").hold == Hold::read_only);
}

TEST_CASE("what is named and missing is told when it is made, and held from then on") {
  TemporaryFolder folder;
  folder.write(".git/config", kHooksElsewhere);
  ProtectedIndex index(folder.path());
  const auto before = look_again(index);
  folder.write("tools/other", "");
  CHECK(changes_between(before, look_again(index)).empty());
  folder.write("tools/hooks/pre-commit", "");
  const auto after = look_again(index);
  CHECK(below(folder, changes_between(before, after)) == NameList{"tools/hooks"});
  CHECK(after.at(folder / "tools/hooks").hold == Hold::read_only);
}

TEST_CASE("settings that somebody changes are read again at the next look") {
  TemporaryFolder folder;
  folder.write(".git/config", "");
  folder.write("a/x", "");
  folder.write("b/x", "");
  ProtectedIndex index(folder.path());
  CHECK(look_again(index).count(folder / "a") == 0);
  folder.write(".git/config", "[core]\n\thooksPath = a\n[include]\n\tpath = more\n");
  auto found = look_again(index);
  CHECK(found.count(folder / "a") == 1);
  CHECK(found.count(folder / ".git/more") == 0);
  folder.write(".git/more", "[diff]\n\texternal = b/x\n");
  found = look_again(index);
  CHECK(found.at(folder / ".git/more").hold == Hold::read_only);
  CHECK(found.at(folder / "b/x").hold == Hold::read_only);
  folder.write(".git/config", "");
  found = look_again(index);
  CHECK(found.count(folder / "a") == 0);
  CHECK(found.count(folder / "b/x") == 0);
}

TEST_CASE("a way through links is held at its end, and a link that is re-pointed is told") {
  TemporaryFolder folder;
  folder.write(".git/config", "[core]\n\thooksPath = link/hooks\n");
  folder.write("real/hooks/pre-commit", "");
  folder.write("evil/hooks/pre-commit", "");
  fs::create_symlink("real", folder / "link");
  ProtectedIndex index(folder.path());
  const auto before = look_again(index);
  CHECK(before.at(folder / "link").hold == Hold::watched);
  CHECK(before.at(folder / "real/hooks").hold == Hold::read_only);
  fs::create_symlink("evil", folder / "new");
  fs::rename(folder / "new", folder / "link");
  const auto changed = below(folder, changes_between(before, look_again(index)));
  CHECK(std::find(changed.begin(), changed.end(), "link") != changed.end());
}

TEST_CASE(
    "a repository around a writable folder, and one that a file points to, name paths in it") {
  TemporaryFolder folder;
  folder.write(".git/config", "[core]\n\thooksPath = sub/hooks\n");
  folder.write("sub/hooks/x", "");
  folder.write("elsewhere/config", "[diff]\n\texternal = ./ext\n");
  folder.write("sub/tree/.git", "gitdir: ../../elsewhere\n");
  folder.write("sub/tree/ext", "");
  ProtectedIndex index(folder / "sub");
  const auto found = look_again(index);
  CHECK(found.at(folder / "sub/hooks").hold == Hold::read_only);
  CHECK(found.at(folder / "sub/tree/ext").hold == Hold::read_only);
}

TEST_CASE("no command changes what git's settings name, and the denial says so") {
  SandboxRunner runner;
  const auto& folder = runner.folder();
  folder.write(".git/config",
               "[core]\n\thooksPath = tools/hooks\n[filter \"f\"]\n\tclean = sh bin/clean.sh\n"
               "[include]\n\tpath = ../local.config\n");
  folder.write("tools/hooks/pre-commit", "good");
  folder.write("bin/clean.sh", "good");
  folder.write("local.config", "good");
  const auto outcome = runner.shell(
      "echo evil > tools/hooks/pre-commit; echo evil > bin/clean.sh; echo evil > local.config\n"
      "touch tools/hooks/post-checkout; mv tools moved; rm -rf bin local.config\n"
      "mkdir -p tools/hooks; echo fine > tools/fine; exit 1");
  REQUIRE(outcome.result);
  CHECK(folder.read("tools/hooks/pre-commit") == "good");
  CHECK(folder.read("bin/clean.sh") == "good");
  CHECK(folder.read("local.config") == "good");
  CHECK(folder.read("tools/fine") == "fine\n");
  CHECK_FALSE(fs::exists(folder / "tools/hooks/post-checkout"));
  CHECK(outcome.result->protected_changes.empty());
  REQUIRE_FALSE(outcome.result->denials.empty());
  CHECK_THAT(outcome.result->denials.front(), Catch::Contains("the settings of git name it"));
}

TEST_CASE("a transaction counts what git's settings name as protected") {
  TemporaryFolder folder, home;
  folder.write(".git/config", kHooksElsewhere);
  auto transaction = Transaction::create(folder.path(), home / "store");
  REQUIRE(transaction);
  home.write("store/upper/tools/hooks/pre-commit", "evil");
  home.write("store/upper/tools/fine", "fine");
  const auto changes = transaction->changes();
  REQUIRE(changes);
  NameList held;
  for (const auto& change : *changes) {
    if (change.protected_name) held.push_back(change.path.string());
  }
  CHECK(held == NameList{"tools/hooks", "tools/hooks/pre-commit"});
  CHECK_FALSE(transaction->apply());
  CHECK_FALSE(fs::exists(folder / "tools"));
}
