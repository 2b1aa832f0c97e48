// What the workspace lets a path from a model reach, and what it never lets a write destroy.
#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "sandbox/sandbox.h"
#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"
#include "tools/workspace_files.h"

using namespace sable;
using namespace sable::tools;
namespace fs = std::filesystem;

namespace {

ErrorCode code_of(const auto& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

}  // namespace

TEST_CASE("a workspace is a folder that can be read and, unless read-only, written") {
  test::TemporaryFolder folder;
  CHECK(code_of(Workspace::open(folder / "missing", {})) == ErrorCode::not_found);
  const auto file = folder.write("file", "x");
  CHECK(code_of(Workspace::open(file, {})) == ErrorCode::denied);
  const auto open = Workspace::open(folder.path(), {});
  REQUIRE(open);
  CHECK((*open)->policy().writable == std::vector<fs::path>{folder.path()});
  const auto read_only = Workspace::open(folder.path(), {}, Workspace::Access::read_only);
  REQUIRE(read_only);
  CHECK((*read_only)->policy().writable.empty());
  CHECK((*read_only)->policy().readable == std::vector<fs::path>{folder.path()});
  CHECK(code_of((*read_only)->files().write("a", "b", {})) == ErrorCode::denied);
}

TEST_CASE("no path leads out of the workspace") {
  test::ToolFixture at;
  test::TemporaryFolder outside;
  outside.write("secret", "s");
  fs::create_directory_symlink(outside.path(), at.folder / "link");
  fs::create_directory_symlink("..", at.folder / "up");
  fs::create_symlink(outside / "secret", at.folder / "file-link");
  fs::create_symlink("/proc/self/root", at.folder / "magic");
  auto& files = at.workspace().files();
  const std::vector<std::string> paths = {
      "../x", "..",        "/etc/passwd",      "link/secret", "file-link",
      "up/x", "a/../../x", "magic/etc/passwd", "./../secret", (outside / "secret").string()};
  for (const auto& path : paths) {
    INFO(path);
    CHECK_FALSE(files.open_file(path));
    CHECK_FALSE(files.write(path, "x", {}));
    CHECK_FALSE(files.list(path));
  }
  CHECK(outside.read("secret") == "s");
  CHECK_FALSE(fs::exists(outside / "x"));
}

TEST_CASE("a path may be absolute or wind about below the root") {
  test::ToolFixture at;
  at.folder.write("a/b.txt", "hello");
  fs::create_directory_symlink("a", at.folder / "inner");
  auto& files = at.workspace().files();
  for (const std::string& path :
       {std::string("a/b.txt"), std::string("./a/b.txt"), std::string("a/../a/b.txt"),
        std::string("inner/b.txt"), (at.folder / "a/b.txt").string()}) {
    INFO(path);
    const auto loaded = files.load(path, 100);
    REQUIRE(loaded);
    CHECK(loaded->place == "a/b.txt");
    CHECK(loaded->content == "hello");
  }
  CHECK(code_of(files.load("a/b.txt", 4)) == ErrorCode::exhausted);
  CHECK(code_of(files.open_file("a")) == ErrorCode::invalid_input);
  CHECK(code_of(files.open_file(std::string("a\0b", 3))) == ErrorCode::invalid_input);
  CHECK(code_of(files.open_file(std::string(5000, 'x'))) == ErrorCode::invalid_input);
}

TEST_CASE("a FIFO is refused and never waited for") {
  test::ToolFixture at;
  REQUIRE(::mkfifo((at.folder / "fifo").c_str(), 0600) == 0);
  const auto opened = at.workspace().files().open_file("fifo");
  REQUIRE_FALSE(opened);
  CHECK(contains(opened.error().message, "a FIFO"));
  CHECK_FALSE(at.workspace().files().write("fifo", "x", {}));
}

TEST_CASE("masked paths are as if they were not there for tools") {
  test::ToolFixture at;
  at.folder.write("secret/key", "k");
  at.folder.write("open", "o");
  at.open({.masked = {at.folder / "secret"}});
  auto& files = at.workspace().files();
  CHECK(code_of(files.open_file("secret/key")) == ErrorCode::denied);
  CHECK(code_of(files.list("secret")) == ErrorCode::denied);
  CHECK(code_of(files.write("secret/new", "x", {})) == ErrorCode::denied);
  const auto root = files.list(".");
  REQUIRE(root);
  REQUIRE(root->entries.size() == 1);
  CHECK(root->entries[0].name == "open");
}

TEST_CASE("a write keeps the mode, makes folders and leaves no temporary file") {
  test::ToolFixture at;
  auto& files = at.workspace().files();
  const auto script = at.folder.write("run.sh", "old");
  fs::permissions(script, fs::perms(0750));
  const auto loaded = files.load("run.sh", 100);
  REQUIRE(loaded);
  REQUIRE(files.write("run.sh", "new", {.replaces = loaded->digest}));
  CHECK(at.folder.read("run.sh") == "new");
  CHECK(fs::status(script).permissions() == fs::perms(0750));
  CHECK(files.write("new/deep/file", "x", {}).value() == "new/deep/file");
  CHECK(at.folder.read("new/deep/file") == "x");
  const auto root = files.list(".");
  REQUIRE(root);
  CHECK(root->entries.size() == 2);
}

TEST_CASE("a file that somebody else changed, made or removed is not overwritten") {
  test::ToolFixture at;
  auto& files = at.workspace().files();
  at.folder.write("f", "one");
  const auto loaded = files.load("f", 100);
  REQUIRE(loaded);
  at.folder.write("f", "two");
  const auto changed = files.write("f", "mine", {.replaces = loaded->digest});
  REQUIRE_FALSE(changed);
  CHECK(contains(changed.error().message, "read it again"));
  CHECK(at.folder.read("f") == "two");
  CHECK_FALSE(files.write("f", "mine", {}));  // thought to be new
  fs::remove(at.folder / "f");
  CHECK_FALSE(files.write("f", "mine", {.replaces = loaded->digest}));
  CHECK_FALSE(fs::exists(at.folder / "f"));
}

TEST_CASE("links are not written through") {
  test::ToolFixture at;
  at.folder.write("real", "r");
  fs::create_symlink("real", at.folder / "link");
  const auto written = at.workspace().files().write("link", "x", {});
  REQUIRE_FALSE(written);
  CHECK(contains(written.error().message, "link to real"));
  CHECK(at.folder.read("real") == "r");
  CHECK(fs::is_symlink(at.folder / "link"));
}

TEST_CASE("a folder that somebody keeps swapping with a link to the outside leads nowhere") {
  test::ToolFixture at;
  test::TemporaryFolder outside;
  outside.write("file", "PRIVATE");
  at.folder.write("folder/file", "ours");
  fs::create_directory_symlink(outside.path(), at.folder / "link");
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    const auto a = (at.folder / "folder").string(), b = (at.folder / "link").string();
    while (!stop) ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  });
  auto& files = at.workspace().files();
  int n_read = 0, n_refused = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (int i = 0; i < 200 || n_read == 0 || n_refused == 0; ++i) {
    if (std::chrono::steady_clock::now() > until) break;
    const auto loaded = files.load("folder/file", 1000);
    if (loaded) CHECK(loaded->content == "ours");
    ++(loaded ? n_read : n_refused);
    (void)files.write("folder/made" + std::to_string(i), "x", {});
    (void)files.list("folder");
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  stop = true;
  swapper.join();
  CHECK(std::distance(fs::directory_iterator(outside.path()), fs::directory_iterator()) == 1);
  CHECK(outside.read("file") == "PRIVATE");
  CHECK(n_read > 0);
  CHECK(n_refused > 0);
}

TEST_CASE("ten thousand swaps of a folder with a link lead no file tool outside") {
  test::ToolFixture at;
  test::TemporaryFolder outside;
  outside.write("file", "PRIVATE line\n");
  at.folder.write("folder/file", "our line\n");
  fs::create_directory_symlink(outside.path(), at.folder / "link");
  const auto time_before = fs::last_write_time(outside.path());
  std::atomic<bool> stop = false;
  std::atomic<int> n_swaps = 0;
  std::thread swapper([&] {
    const auto a = (at.folder / "folder").string(), b = (at.folder / "link").string();
    while (!stop) {
      if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) ++n_swaps;
    }
  });
  const std::string patch =
      "*** Begin Patch\n*** Update File: folder/file\n@@\n-our line\n+our line\n*** End Patch\n";
  const std::pair<const char*, Json> calls[] = {
      {"read_file", {{"path", "folder/file"}}},
      {"list_files", {{"path", "folder"}}},
      {"edit_file",
       {{"path", "folder/file"}, {"old_text", "our line"}, {"new_text", "our line, edited"}}},
      {"edit_file",
       {{"path", "folder/file"}, {"old_text", "our line, edited"}, {"new_text", "our line"}}},
      {"edit_file", {{"path", "folder/file"}, {"old_text", "PRIVATE"}, {"new_text", "stolen"}}},
      {"write_file", {{"path", "folder/file"}, {"content", "our line\n"}}},
      {"write_file", {{"path", "folder/sub/new"}, {"content", "x"}}},
      {"apply_patch", {{"patch", patch}}}};
  int n_done = 0, n_refused = 0;
  for (int i = 0; i < 100 || n_swaps < 10'000 || n_done == 0 || n_refused == 0; ++i) {
    for (const auto& [tool, arguments] : calls) {
      const auto outcome = at.run(tool, arguments);
      ++(outcome.ok ? n_done : n_refused);
      if (contains(outcome.text, "PRIVATE line"))
        FAIL_CHECK(tool << " read outside: " << outcome.text);
    }
  }
  stop = true;
  swapper.join();
  CHECK(n_swaps >= 10'000);
  CHECK(outside.read("file") == "PRIVATE line\n");
  CHECK(std::distance(fs::directory_iterator(outside.path()), fs::directory_iterator()) == 1);
  CHECK(fs::last_write_time(outside.path()) == time_before);
}

TEST_CASE("what programs outside the sandbox trust is protected at any depth and by any way") {
  for (const char* path : {".git",
                           ".git/hooks/pre-commit",
                           "a/.git/config",
                           ".GIT/config",
                           ".sable/config.yaml",
                           "x/.envrc",
                           ".vscode/tasks.json",
                           ".npmrc",
                           "sub/.Bashrc",
                           ".gdbinit",
                           "x/.claude/settings.json",
                           "sub/.git",
                           ".zed/tasks.json",
                           ".devcontainer/devcontainer.json",
                           ".zlogout",
                           ".bash_aliases",
                           ".inputrc",
                           ".vimrc",
                           ".exrc",
                           ".nvimrc",
                           ".cargo/config.toml",
                           "sub/.Cargo/config",
                           ".opencode/x",
                           ".windsurf/rules/x"}) {
    INFO(path);
    CHECK(sandbox::protection_of(path));
  }
  for (const char* path : {"git/hooks", ".github/workflows/ci.yml", ".gitignore", "src/.git-notes",
                           "profile", ".envrc.example", "bashrc", ".cargo", ".cargo/registry/x",
                           "config.toml", "cargo/config.toml", ".cargo/x/config.toml"}) {
    INFO(path);
    CHECK_FALSE(sandbox::protection_of(path));
  }
  test::ToolFixture at;
  at.folder.write(".git/config", "c");
  at.folder.write("a/f", "");
  at.folder.write("src/f", "");
  fs::create_directory_symlink(".git", at.folder / "innocent");
  auto& files = at.workspace().files();
  for (const char* path : {".git/hooks/pre-commit", "innocent/hooks/pre-commit", "innocent/new",
                           "a/../.git/new", ".sable/x", "sub/.git/x", "src/../sub/.sable"}) {
    INFO(path);
    CHECK(code_of(files.write(path, "x", {})) == ErrorCode::denied);
  }
  CHECK_FALSE(fs::exists(at.folder / ".git/hooks"));
  CHECK_FALSE(fs::exists(at.folder / ".sable"));
  CHECK_FALSE(fs::exists(at.folder / "sub/.git"));
}

TEST_CASE("no file tool writes what git's settings name, there or not") {
  test::ToolFixture at;
  at.folder.write(".git/config",
                  "[core]\n\thooksPath = .githooks\n[filter \"f\"]\n\tclean = sh tools/clean.sh\n"
                  "[include]\n\tpath = ../local.config\n");
  at.folder.write("tools/clean.sh", "good");
  auto& files = at.workspace().files();
  for (const char* path :
       {".githooks/pre-commit", "tools/clean.sh", "local.config", "tools/../.githooks/deep/er"}) {
    INFO(path);
    CHECK(code_of(files.write(path, "x", {})) == ErrorCode::denied);
  }
  CHECK_FALSE(fs::exists(at.folder / ".githooks"));
  CHECK(at.folder.read("tools/clean.sh") == "good");
  const auto refused = at.call("write_file", {{"path", ".githooks/post-merge"}, {"content", "x"}});
  CHECK_FALSE(refused.ok);
  CHECK(contains(refused.text, "git's setting core.hookspath in"));
  CHECK(files.write("tools/fine", "x", {}));
  // The person changes the settings while the session goes on.
  at.folder.write(".git/config", "[core]\n\tfsmonitor = ./monitor\n");
  CHECK(files.write(".githooks/pre-commit", "x", {}));
  CHECK(code_of(files.write("monitor", "x", {})) == ErrorCode::denied);
}

TEST_CASE("names with newlines and escapes are shown escaped") {
  test::ToolFixture at;
  at.folder.write("evil\n\x1b[31mname", "x");
  const auto listed = at.call("list_files", Json::object());
  CHECK(listed.text == "evil\\n\\x1b[31mname\n");
  const auto read = at.call("read_file", {{"path", "no\n\x1b[2Jsuch"}});
  CHECK_FALSE(read.ok);
  CHECK(contains(read.text, "no\\n\\x1b[2Jsuch"));
}
