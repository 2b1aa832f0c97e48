// Changes kept apart, listed, applied and dropped.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/json.h"
#include "sandbox/protected_paths.h"
#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using sable::test::SandboxRunner;
using sable::test::SessionRunner;
using sable::test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

struct Fixture {
  SandboxRunner runner;
  TemporaryFolder root, stores;
  Transaction transaction = begin();

  Transaction begin() {
    root.write("kept", "kept");
    root.write("changed", "old");
    root.write("gone", "gone");
    root.write("folder/inner", "inner");
    root.write("folder/other", "other");
    root.write("empty/.keep", "");
    fs::create_symlink("kept", root / "link");
    ::chmod((root / "kept").c_str(), 0640);
    auto made = Transaction::create(root.path(), stores / "one");
    INFO((made ? "" : made.error().message));
    REQUIRE(made);
    return std::move(*made);
  }

  test::Outcome shell(const std::string& script) {
    Policy policy{.writable = {root.path()}};
    policy.transactions[root.path()] = transaction.store();
    return runner.shell("cd " + root.path().string() + "\n" + script, policy);
  }

  std::string listed() const {
    const auto changes = transaction.changes();
    REQUIRE(changes);
    std::string text;
    for (const auto& change : *changes) {
      constexpr const char* kKinds = "+~-!";
      text += kKinds[static_cast<size_t>(change.kind)] + change.path.string() +
              (change.protected_name ? " protected" : "") + "\n";
    }
    return text;
  }
};

// Names, types, modes and contents of a tree.
std::string picture(const fs::path& root) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    struct stat seen {};
    ::lstat(entry.path().c_str(), &seen);
    std::string text = std::to_string(seen.st_mode) + " ";
    if (S_ISREG(seen.st_mode)) text += *read_file(entry.path());
    if (S_ISLNK(seen.st_mode)) text += fs::read_symlink(entry.path()).string();
    entries[fs::relative(entry.path(), root)] = text;
  }
  std::string text;
  for (const auto& [name, what] : entries) text += name + ": " + what + "\n";
  return text;
}

constexpr const char* kScript =
    "echo new > changed; rm gone; echo made > made; mkdir -p deep/er; echo x > deep/er/file\n"
    "rm -r folder; mkdir folder; echo only > folder/only; ln -sf changed link; chmod 600 kept\n"
    "rm -r empty; echo file > empty; ln -s /etc/passwd outside; mkfifo pipe\n";
constexpr const char* kListed =
    "~changed\n+deep\n+deep/er\n+deep/er/file\n!empty\n!folder\n+folder/only\n-gone\n~kept\n"
    "~link\n+made\n+outside\n+pipe\n";

}  // namespace

TEST_CASE("in a transaction a command sees its changes, and the host does not") {
  Fixture f;
  const std::string before = picture(f.root.path());
  const auto outcome = f.shell(std::string(kScript) + "cat changed folder/only empty; ls folder");
  INFO(outcome.errors << (outcome.result ? "" : outcome.result.error().message));
  REQUIRE(outcome.result);
  CHECK(outcome.output == "new\nonly\nfile\nonly\n");
  CHECK(picture(f.root.path()) == before);
  CHECK(f.listed() == kListed);
  for (const auto& layer : probe_layers()) {
    if (layer.name != "transactions") continue;
    INFO(layer.detail);
    CHECK(layer.state == Layer::State::enforced);
  }
  // The next call goes on from there.
  CHECK(f.shell("cat made; ls gone").output == "made\n");
}

TEST_CASE("applying makes the folder what the command saw") {
  Fixture f;
  const auto seen =
      f.shell(std::string(kScript) + "rm pipe; stat -c '%n %a %s %F' $(find . | sort)");
  REQUIRE(seen.result);
  REQUIRE(f.transaction.apply());
  CHECK(f.listed().empty());
  CHECK(f.root.read("changed") == "new\n");
  CHECK_FALSE(fs::exists(f.root / "gone"));
  CHECK_FALSE(fs::exists(f.root / "folder/inner"));
  CHECK(f.root.read("folder/only") == "only\n");
  CHECK(fs::is_regular_file(f.root / "empty"));
  CHECK(fs::read_symlink(f.root / "link") == "changed");
  CHECK(fs::read_symlink(f.root / "outside") == "/etc/passwd");
  CHECK((fs::status(f.root / "kept").permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  const auto now = f.shell("stat -c '%n %a %s %F' $(find . | sort)");
  CHECK_THAT(seen.output, Catch::Contains("./folder/only"));
  // Sizes of folders are the file system's own.
  const auto without_folders = [](const std::string& text) {
    std::string kept;
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      const std::string line = text.substr(at, end - at);
      if (line.find("directory") == std::string::npos) kept += line + "\n";
      at = end + 1;
    }
    return kept;
  };
  CHECK(without_folders(now.output) == without_folders(seen.output));
}

TEST_CASE("dropping forgets all changes, and the transaction can be used on") {
  Fixture f;
  const std::string before = picture(f.root.path());
  f.shell(kScript);
  REQUIRE(f.transaction.drop());
  CHECK(f.listed().empty());
  CHECK(picture(f.root.path()) == before);
  CHECK(f.shell("cat changed; echo again > changed").output == "old");
  CHECK(f.listed() == "~changed\n");
}

TEST_CASE("a crash while applying is made good at the next opening, wherever it happened") {
  // The state is written, then the changes are made one by one: each prefix of that is a crash.
  for (int stop = 0; stop < 12; ++stop) {
    Fixture f;
    f.shell(std::string(kScript) + "rm pipe");
    const fs::path store = f.transaction.store();
    auto state = parse_json(*read_file(store / "state"));
    (*state)["applying"] = true;
    REQUIRE(write_file_atomically(store / "state", dump_json(*state)));
    // Some of the work done, in the order of the names.
    const std::vector<std::function<void()>> steps = {
        [&] { f.root.write("changed", "new\n"); },
        [&] { f.root.write(".sable-apply", "half"); },
        [&] { fs::create_directory(f.root / "deep"); },
        [&] { f.root.write("deep/er/file", "x\n"); },
        [&] { fs::remove(f.root / "empty/.keep"); },
        [&] { fs::remove_all(f.root / "empty"); },
        [&] { f.root.write("empty", "file\n"); },
        [&] { fs::remove_all(f.root / "folder/inner"); },
        [&] { f.root.write("folder/only", "only\n"); },
        [&] { fs::remove(f.root / "gone"); },
        [&] { f.root.write("made", "made\n"); },
    };
    for (int i = 0; i < stop && i < static_cast<int>(steps.size()); ++i)
      steps[static_cast<size_t>(i)]();
    const auto opened = Transaction::open(store);
    INFO(stop << (opened ? "" : opened.error().message));
    REQUIRE(opened);
    CHECK(f.root.read("changed") == "new\n");
    CHECK(f.root.read("empty") == "file\n");
    CHECK(f.root.read("folder/only") == "only\n");
    CHECK_FALSE(fs::exists(f.root / "folder/inner"));
    CHECK_FALSE(fs::exists(f.root / "gone"));
    CHECK(f.root.read("made") == "made\n");
    CHECK(opened->changes()->empty());
  }
}

TEST_CASE("protected names among the changes are refused unless they are accepted") {
  Fixture f;
  f.shell(
      "mkdir -p new/.git/hooks; echo evil > new/.git/hooks/pre-commit; echo x > .envrc; "
      "mkdir -p new/.git/objects; echo y > new/.git/objects/config");
  CHECK_THAT(f.listed(), Catch::Contains("+.envrc protected") &&
                             Catch::Contains("+new/.git/hooks/pre-commit protected") &&
                             Catch::Contains("+new/.git/objects/config\n"));
  const auto refused = f.transaction.apply();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::denied);
  CHECK_FALSE(fs::exists(f.root / "new"));
  REQUIRE(f.transaction.apply(Transaction::Protected::accept));
  CHECK(f.root.read(".envrc") == "x\n");
}

TEST_CASE("what was protected before stays as it is in a transaction too") {
  Fixture f;
  f.root.write(".git/config", "[core]\n");
  f.root.write(".git/hooks/post", "old");
  f.root.write(".git/HEAD", "x");
  const auto outcome = f.shell("echo evil >> .git/config; echo evil > .git/hooks/post");
  REQUIRE(outcome.result);
  CHECK(outcome.result->exit_code != 0);
  CHECK(f.listed().find("config") == std::string::npos);
}

TEST_CASE("a file that somebody else changed meanwhile is not overwritten") {
  Fixture f;
  f.shell("echo mine > changed; echo more > made");
  ::usleep(20'000);
  f.root.write("changed", "theirs");
  const auto refused = f.transaction.apply();
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, Catch::Contains("somebody else"));
  CHECK(f.root.read("changed") == "theirs");
  CHECK_FALSE(fs::exists(f.root / "made"));
}

TEST_CASE("links that a command leaves lead nobody outside when they are applied") {
  Fixture f;
  const TemporaryFolder outside;
  outside.write("file", "safe");
  f.shell("rm -r folder; ln -s " + outside.path().string() + " folder; rm changed; ln -s " +
          (outside / "file").string() + " changed");
  REQUIRE(f.transaction.apply());
  CHECK(fs::is_symlink(f.root / "folder"));
  f.shell("rm folder; mkdir folder; echo evil > folder/file; rm changed; echo evil > changed");
  REQUIRE(f.transaction.apply());
  CHECK(outside.read("file") == "safe");
  CHECK(f.root.read("folder/file") == "evil\n");
}

TEST_CASE("set-id bits are not applied") {
  Fixture f;
  REQUIRE(f.shell("echo x > tool; chmod 755 tool").result);
  ::chmod(f.transaction.changed_file("tool").c_str(), 06755);
  REQUIRE(f.transaction.apply());
  struct stat seen {};
  REQUIRE(::stat((f.root / "tool").c_str(), &seen) == 0);
  CHECK((seen.st_mode & 07777) == 0755);
}

TEST_CASE("the calls of a session work in one transaction") {
  Fixture f;
  Policy policy{.writable = {f.root.path()}};
  policy.transactions[f.root.path()] = f.transaction.store();
  {
    SessionRunner session(f.runner, policy);
    const std::string place = "cd " + f.root.path().string() + "; ";
    CHECK(session.shell(place + "echo one > made").result->exit_code == 0);
    CHECK(session.shell(place + "cat made; echo two >> made").output == "one\n");
  }
  CHECK_FALSE(fs::exists(f.root / "made"));
  REQUIRE(f.transaction.apply());
  CHECK(f.root.read("made") == "one\ntwo\n");
}

TEST_CASE("a store is empty and elsewhere; a damaged one is refused") {
  const TemporaryFolder root, stores;
  CHECK_FALSE(Transaction::create(root.path(), root / "store"));
  stores.write("used/file", "");
  CHECK_FALSE(Transaction::create(root.path(), stores / "used"));
  CHECK_FALSE(Transaction::open(stores / "used"));
  for (const char* text : {"", "{", "[]", "{\"root\":1}", "{\"root\":\"/x\",\"since_ns\":\"y\"}"}) {
    stores.write("damaged/state", text);
    const auto opened = Transaction::open(stores / "damaged");
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == ErrorCode::corrupt);
  }
  SandboxRunner runner;
  auto made = Transaction::create(root.path(), stores / "good");
  REQUIRE(made);
  Policy policy;
  policy.transactions[root.path()] = made->store();
  const auto refused = runner.run({"true"}, policy);
  REQUIRE_FALSE(refused.result);
  CHECK_THAT(refused.result.error().message, Catch::Contains("none of the writable"));
}

TEST_CASE("a policy that keeps changes apart lets nothing run where nothing does") {
  SandboxRunner runner;
  const auto refused = runner.shell("echo x > made", {.files = FileEffects::transaction});
  REQUIRE_FALSE(refused.result);
  CHECK(refused.result.error().code == ErrorCode::invalid_input);
  CHECK_THAT(refused.result.error().message, Catch::Contains("no command may run"));
  CHECK(fs::is_empty(runner.folder().path()));
}

TEST_CASE("what is kept apart goes with its owner, unless it is applied") {
  SandboxRunner runner;
  const TemporaryFolder home;
  const auto place = home / "kept";
  const auto make = [&](bool apply) {
    Policy policy{.writable = {runner.folder().path()}, .files = FileEffects::transaction};
    auto kept = KeptApart::begin(place, policy);
    REQUIRE(kept);
    const std::string file = (runner.folder() / "made").string();
    REQUIRE(runner.shell("echo x > " + file, policy).result);
    CHECK_FALSE(fs::exists(file));
    CHECK(kept->transactions().front().changes()->size() == 1);
    CHECK(KeptApart::finish_interrupted(place).empty());  // it has an owner
    CHECK(kept->transactions().front().changes()->size() == 1);
    if (apply) CHECK(kept->apply(Transaction::Protected::refuse));
  };
  make(false);
  CHECK(fs::is_empty(place));
  CHECK(fs::is_empty(runner.folder().path()));
  make(true);
  CHECK(fs::is_empty(place));
  CHECK(runner.folder().read("made") == "x\n");
  Policy none;
  CHECK(KeptApart::begin(place, none).error().code == ErrorCode::invalid_input);
}

TEST_CASE("of what a crash left only that is applied which had begun to be") {
  const TemporaryFolder root, home;
  const auto left = [&](const std::string& name, const fs::path& where, bool applying) {
    home.write(
        name + "/0/state",
        dump_json(Json{
            {"version", 1}, {"root", where.string()}, {"since_ns", 0}, {"applying", applying}}));
    home.write(name + "/0/upper/" + name, "x");
    fs::create_directories(home / (name + "/0/work"));
  };
  left("begun", root.path(), true);
  left("asked", root.path(), false);
  left("waiting", root / "not there", true);
  const auto waiting = KeptApart::finish_interrupted(home.path());
  CHECK(root.read("begun") == "x");
  CHECK_FALSE(fs::exists(root / "asked"));
  REQUIRE(waiting.size() == 1);
  CHECK_THAT(waiting[0], Catch::Contains((home / "waiting/0").string()));
  CHECK(fs::exists(home / "waiting/0/upper/waiting"));
  CHECK_FALSE(fs::exists(home / "begun"));
  CHECK_FALSE(fs::exists(home / "asked"));
}

TEST_CASE("what is protected is known by name and place") {
  for (const char* path : {".envrc",
                           "a/.vscode/tasks.json",
                           "a/.git",
                           ".git/hooks/x",
                           "x/.GIT/config",
                           ".git/modules/m/config",
                           ".git/info/attributes",
                           ".git/worktrees/w/commondir",
                           ".Sable/x",
                           ".zed/x",
                           "a/.cargo/config",
                           ".cargo/config.toml",
                           ".devcontainer/x",
                           ".windsurf/x",
                           ".opencode/x",
                           ".zlogout",
                           ".bash_aliases",
                           ".inputrc",
                           ".vimrc",
                           ".nvimrc"}) {
    INFO(path);
    CHECK(is_protected_place(path));
    CHECK(protection_of(path));
  }
  for (const char* path :
       {"a/b", "hooks/x", "config", ".git/objects/config", ".git/HEAD", ".git/refs/heads/hooks",
        ".git/index", ".gitignore", "profile", ".cargo/registry/x", "config.toml"}) {
    INFO(path);
    CHECK_FALSE(is_protected_place(path));
  }
  CHECK(protection_of(".git/HEAD"));
  CHECK_FALSE(protection_of(".gitignore"));
  CHECK_FALSE(protection_of(""));
}
