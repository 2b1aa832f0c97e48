// The reader of git's settings against git itself, and what the settings are found to name.
#include "sandbox/git_config.h"

#include <array>
#include <cstdio>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "sandbox/git_targets.h"
#include "tests/support/temporary_folder.h"

using namespace sable::sandbox;
using sable::test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

// What git makes of a file; nullopt where it refuses it.
std::optional<std::vector<GitSetting>> as_git_reads(const fs::path& file) {
  const std::string command = "GIT_CONFIG_NOSYSTEM=1 /usr/bin/git config --no-includes --file '" +
                              file.string() + "' --list -z 2>/dev/null";
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string output;
  std::array<char, 4096> buffer{};
  for (size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    output.append(buffer.data(), n);
  if (::pclose(pipe) != 0) return {};
  std::vector<GitSetting> settings;
  while (!output.empty()) {
    const std::string entry = output.substr(0, output.find('\0'));
    output.erase(0, entry.size() + 1);
    const size_t line = entry.find('\n');  // a name alone has none
    settings.push_back(
        {entry.substr(0, line), line == std::string::npos ? "true" : entry.substr(line + 1)});
  }
  return settings;
}

std::vector<std::string> targets_in(const TemporaryFolder& folder, const GitUser& user = {}) {
  const auto repository = repository_at(folder / ".git");
  REQUIRE(repository);
  std::vector<std::string> names;
  for (const auto& target : git_targets(*repository, user).targets) {
    const auto name = target.path.lexically_relative(folder.path()).string();
    if (!name.starts_with("..")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

using NameList = std::vector<std::string>;

}  // namespace

TEST_CASE("git's settings are read as git reads them") {
  TemporaryFolder folder;
  const char* const texts[] = {
      "[core]\n\thooksPath = .githooks\n",
      "[core] hooksPath = a # one\n; two\n#three\n[CORE]\n\tHooksPath=b;c\n",
      "[filter \"My.Filter\"]\nclean = \"a b\" c  \"d # e\"\n",
      "[filter \"a\\\"b\\\\c\"]\n\tsmudge = x\\\n  y\\tz\\\\\n",
      "[filter.Old]\nclean = x\n",
      "[core]\nfsmonitor\nbare\n",
      "[core]\r\n\tpager = a  b\r\n\teditor = \"c\"\r\n",
      "\xef\xbb\xbf[alias]\nst = !touch /tmp/x\n",
      "[core]\n\teditor = a\\nb\\tc\\bd\n",
      "[core]\n\tempty =\n\tquoted = \"\"\n\tblank = \"  \"  \n",
      "[include]\npath = a\n[includeIf \"gitdir:~/x/\"]\npath = \"b c\"\n",
      "[a-b \"\"]\nx-1 = 2\n",
      "",
      "[core]\n\tlast = without an end"};
  for (const char* text : texts) {
    const auto file = folder.write("config", text);
    const auto expected = as_git_reads(file);
    INFO(text);
    REQUIRE(expected);
    CHECK(parse_git_config(text) == *expected);
  }
}

TEST_CASE("whatever bytes git accepts as settings are read as git reads them") {
  // Pieces put together at random: most are refused by git, the others must agree.
  const std::string pieces[] = {"[core]", "[a \"b\"]", "[c.D]",     "\n",       "\n",   "\n",
                                "x = y",  "hooksPath", " = ",       "\"",       "\\",   "\\\n",
                                "# note", "; note",    "  ",        " ",        "\r\n", "a b",
                                "\\\"",   "\\t",       "[include]", "path = z", "=",    "\\q"};
  TemporaryFolder folder;
  uint32_t state = 12345;
  const auto draw = [&](size_t n) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % n;
  };
  int n_agreed = 0;
  for (int i = 0; i < 400; ++i) {
    std::string text = "[core]\n";
    for (size_t n = draw(9); n > 0; --n) text += pieces[draw(std::size(pieces))];
    const auto expected = as_git_reads(folder.write("config", text));
    const auto read = parse_git_config(text);  // never crashes, also where git refuses
    if (!expected) continue;
    INFO(text);
    CHECK(read == *expected);
    ++n_agreed;
  }
  CHECK(n_agreed > 50);
}

TEST_CASE("a line that git cannot read hides no other line") {
  const auto settings = parse_git_config(
      "[core\n[core]\n= x\neditor = \"open\nhooksPath = h\npager = \\q\nsshCommand=s\n");
  CHECK(settings == std::vector<GitSetting>{{"core.hookspath", "h"}, {"core.sshcommand", "s"}});
  CHECK(parse_git_config(std::string(100'000, '[')).empty());
  CHECK(parse_git_config(std::string("\0[a]\nb=\0c", 10)).size() <= 1);
}

TEST_CASE("what the settings make git run or read is found, wherever they say it") {
  TemporaryFolder folder;
  folder.write("tools/clean.py", "");
  folder.write("tools/diff.sh", "");
  folder.write("bin/merge", "");
  folder.write("monitor", "");
  folder.write(".git/local.sh", "");
  folder.write(".git/config",
               "[core]\n\thooksPath = .githooks\n\tfsmonitor = monitor\n\tattributesFile = attr\n"
               "\tsshCommand = ssh -F conf/ssh -o \"ProxyCommand=./bin/proxy %h\"\n"
               "[filter \"x\"]\n\tclean = python3 tools/clean.py %f\n\tsmudge = cat\n"
               "[diff \"x\"]\n\tcommand = \"$(git rev-parse --show-toplevel)/tools/diff.sh\"\n"
               "[merge \"x\"]\n\tdriver = sh -c 'cd . && ./bin/merge %A'\n"
               "[alias]\n\tst = status\n\tgo = !./go.sh\n"
               "[credential]\n\thelper = !.git/local.sh\n"
               "[include]\n\tpath = ../more.config\n");
  folder.write("more.config",
               "[diff]\n\texternal = ./ext\n[includeIf \"onbranch:never\"]\npath = cond.config\n");
  folder.write("cond.config", "[gpg]\n\tprogram = ./gpg\n[include]\npath = more.config\n");
  CHECK(targets_in(folder) == NameList{".git/local.sh", ".githooks", "attr", "bin/merge",
                                       "bin/proxy", "cond.config", "conf/ssh", "ext", "go.sh",
                                       "gpg", "monitor", "more.config", "tools/clean.py",
                                       "tools/diff.sh"});
}

TEST_CASE("settings that run nothing hold nothing, unless they lead to a program") {
  TemporaryFolder folder;
  folder.write("src/main", "");
  folder.write("docs", "");
  folder.write("status", "");
  folder.write("tool", "");
  folder.write(".git/refs/heads/main", "");
  folder.write(".git/config",
               "[user]\n\tname = docs\n[branch \"main\"]\n\tremote = .\n\tmerge = refs/heads/main\n"
               "[remote \"o\"]\n\turl = ../other\n\tfetch = +refs/heads/*:refs/remotes/o/*\n"
               "[alias]\n\tst = status\n[commit]\n\ttemplate = docs\n[some]\n\tday = tool --now\n");
  CHECK(targets_in(folder).empty());
  REQUIRE(::chmod((folder / "tool").c_str(), 0755) == 0);
  CHECK(targets_in(folder) == NameList{"tool"});
}

TEST_CASE("settings of the user, of a linked worktree and of a submodule name paths as well") {
  TemporaryFolder folder;
  folder.write("home/.gitconfig", "[core]\n\thooksPath = .hooks\n\teditor = ~/edit/it\n");
  folder.write("main/.git/config", "[filter \"f\"]\n\tclean = ./f\n");
  folder.write("main/.git/worktrees/w/commondir", "../..\n");
  folder.write("main/.git/worktrees/w/config.worktree", "[diff]\n\texternal = ./e\n");
  folder.write("w/.git", "gitdir: ../main/.git/worktrees/w\n");
  const auto linked = repository_at(folder / "w/.git");
  REQUIRE(linked);
  const GitUser user{.home = folder / "home", .settings = {folder / "home/.gitconfig"}};
  NameList names;
  for (const auto& target : git_targets(*linked, user).targets)
    names.push_back(fs::relative(target.path, folder.path()).string());
  std::sort(names.begin(), names.end());
  CHECK(names == NameList{"home/edit/it", "w/.hooks", "w/e", "w/f"});

  folder.write("main/.git/modules/s/HEAD", "");
  folder.write("main/.git/modules/s/config",
               "[core]\n\tworktree = ../../../s\n\thooksPath = hooks\n");
  const auto submodule = repository_at(folder / "main/.git/modules/s");
  REQUIRE(submodule);
  const auto found = git_targets(*submodule, {});
  REQUIRE(found.targets.size() == 1);
  CHECK(found.targets.front().path == folder / "main/s/hooks");
}

TEST_CASE("a hooks folder that is the worktree itself holds the names of hooks, not everything") {
  TemporaryFolder folder;
  folder.write(".git/config", "[core]\n\thooksPath = .\n");
  const auto names = targets_in(folder);
  CHECK(std::find(names.begin(), names.end(), "pre-commit") != names.end());
  CHECK(std::find(names.begin(), names.end(), ".") == names.end());
}

TEST_CASE("hostile settings are read within bounds") {
  TemporaryFolder folder;
  std::string text = "[include]\npath = config\npath = /dev/zero\npath = .\n[core]\n";
  for (int i = 0; i < 20'000; ++i) text += "pager = ./p" + std::to_string(i) + "\n";
  folder.write(".git/config", text);
  CHECK(targets_in(folder).size() <= 1024);
  folder.write("p/.git", "gitdir: " + std::string(5000, 'x'));
  CHECK(repository_at(folder / "p/.git"));
  folder.write("q/.git", std::string("gitdir: a\0b\n", 12));
  CHECK_FALSE(repository_at(folder / "q/.git"));
}

TEST_CASE("the settings of a repository are read up to a bound, whatever they include") {
  TemporaryFolder folder;
  std::string includes = "[include]\n";
  const std::string padding(200'000, '#');
  for (int i = 0; i < 20; ++i) {
    const std::string number = std::to_string(i);
    includes += "path = part" + number + "\n";
    folder.write(".git/part" + number, padding + "\n[core]\nhooksPath = hooks" + number + "\n");
  }
  folder.write(".git/config", includes);
  const auto names = targets_in(folder);
  CHECK(std::count(names.begin(), names.end(), "hooks0") == 1);
  CHECK(std::count(names.begin(), names.end(), "hooks4") == 1);
  CHECK(std::count(names.begin(), names.end(), "hooks5") == 0);
}
