// git_status, git_diff and git_log beside git itself, and over repositories that mean harm.
#include <sys/socket.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/child_process.h"
#include "base/text.h"
#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
namespace fs = std::filesystem;

namespace {

/// A workspace in which a person runs git by hand.
class GitFixture : public test::ToolFixture {
 public:
  /// Runs a shell script in the workspace; its output is in the file "out" of another folder.
  std::string sh(const std::string& script) {
    auto child = ChildProcess::start(
        {.argv = {"/bin/sh", "-ec", "exec >'" + (home_ / "out").string() + "' 2>&1\n" + script},
         .environment = {"PATH=/usr/bin:/bin", "HOME=" + home_.path().string(),
                         "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=a@b.c",
                         "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=a@b.c", "TZ=UTC",
                         "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
                         "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z"},
         .working_directory = folder.path().string()});
    REQUIRE(child);
    const auto status = child->wait();
    REQUIRE(status);
    INFO(home_.read("out"));
    REQUIRE(status->exit_code == 0);
    return home_.read("out");
  }

  std::string text(const std::string& tool, Json arguments = Json::object()) {
    const auto outcome = call(tool, std::move(arguments));
    INFO(outcome.text);
    CHECK(outcome.ok);
    CHECK(is_utf8(outcome.text));
    return outcome.text;
  }
  std::string refusal(const std::string& tool, Json arguments = Json::object()) {
    const auto outcome = call(tool, std::move(arguments));
    INFO(outcome.text);
    CHECK_FALSE(outcome.ok);
    return outcome.text;
  }

 private:
  test::TemporaryFolder home_;
};

/// "--- a/f" ... as git writes it, without its own headers.
std::string bare_diff(const std::string& diff) {
  std::string kept;
  for (const auto line : split_lines(diff)) {
    if (line.starts_with("diff --git") || line.starts_with("index ") ||
        line.starts_with("new file") || line.starts_with("deleted file")) {
      continue;
    }
    if (line.starts_with("@@")) {
      kept += std::string(line.substr(0, line.find("@@", 2) + 2)) + "\n";
    } else {
      kept += std::string(line) + "\n";
    }
  }
  return kept;
}

}  // namespace

TEST_CASE("git_status tells the branch and every kind of change") {
  GitFixture at;
  CHECK(contains(at.refusal("git_status"), "no git repository"));
  at.sh("git init -q -b main .");
  CHECK(contains(at.text("git_status"), "On branch main, no commits yet"));
  at.sh(R"(
    mkdir -p src new/deep ignored
    for f in kept changed removed staged moved src/a; do echo "$f" > $f; done
    ln -s kept link
    printf 'ignored/\n*.o\n' > .gitignore
    git add . && git commit -qm 'The first one'
    echo more >> changed; rm removed; echo more >> staged; git add staged
    git rm -q moved; echo fresh > added; git add added; chmod +x kept
    echo x > new/deep/file; echo x > ignored/x; echo x > y.o; echo x > src/untracked
    rm link && ln -s changed link)");
  const auto status = at.text("git_status");
  INFO(status);
  CHECK(contains(status, "On branch main at "));
  CHECK(contains(status, " The first one\n"));
  CHECK(contains(status,
                 "Staged for the next commit:\n  A added\n  D moved\n  M staged\n"
                 "Changed, not staged:\n  M changed\n  M kept\n  M link\n  D removed\n"
                 "Not known to git:\n  new/\n  src/untracked\n"));
  CHECK_FALSE(contains(status, "ignored/x"));
  at.sh("git add -A && git commit -qm second && git checkout -q --detach");
  const auto clean = at.text("git_status");
  CHECK(contains(clean, "No branch (a detached commit) at "));
  CHECK(contains(clean, "[nothing has changed since that commit]"));
}

TEST_CASE("git_status compares content where times differ, and line ends do not count") {
  GitFixture at;
  at.sh("git init -q . && printf 'a\\nb\\n' > f && git add f && git commit -qm one");
  at.sh("touch -d 2001-01-01 f");
  CHECK(contains(at.text("git_status"), "[nothing has changed"));
  at.sh("printf 'a\\r\\nb\\r\\n' > f");
  CHECK(contains(at.text("git_status"), "[nothing has changed"));
  at.sh("printf 'a\\nc\\n' > f");
  CHECK(contains(at.text("git_status"), "  M f\n"));
}

TEST_CASE("git_status names conflicts") {
  GitFixture at;
  at.sh(R"(git init -q -b main . && echo a > f && git add f && git commit -qm a
    git checkout -q -b other && echo b > f && git commit -qam b
    git checkout -q main && echo c > f && git commit -qam c
    git merge other || true)");
  CHECK(contains(at.text("git_status"), "In conflict:\n  f\n"));
}

TEST_CASE("git_diff shows what git diff shows") {
  GitFixture at;
  at.sh(R"(git init -q . 
    seq 1 60 > numbers; echo gone > gone; printf 'no newline' > open; mkdir d; echo x > d/x
    git add . && git commit -qm one
    sed -i 's/^7$/seven/; s/^50$/fifty/' numbers; rm gone; printf 'no newline\nmore' > open
    echo staged > d/new; git add d/new; echo untracked > untracked)");
  CHECK(at.text("git_diff") == bare_diff(at.sh("git diff HEAD")));
  CHECK(at.text("git_diff", {{"staged", true}}) == bare_diff(at.sh("git diff --cached")));
  CHECK(at.text("git_diff", {{"path", "numbers"}}) == bare_diff(at.sh("git diff HEAD -- numbers")));
  CHECK(at.text("git_diff", {{"path", "d/"}}) == bare_diff(at.sh("git diff HEAD -- d")));
  CHECK(at.text("git_diff", {{"context_lines", 0}, {"path", "numbers"}}) ==
        bare_diff(at.sh("git diff -U0 HEAD -- numbers")));
  CHECK(at.text("git_diff", {{"only_names", true}}) == "A d/new\nD gone\nM numbers\nM open\n");
  CHECK(contains(at.text("git_diff", {{"path", "untracked"}}), "[no changes there]"));
  at.sh("git add -A && git commit -qm two && git tag v2 && git branch side");
  for (const std::string from : {"HEAD~1", "HEAD^", "@~", "side~1", "refs/heads/side^"}) {
    CHECK(at.text("git_diff", {{"from", from}, {"to", "v2"}}) ==
          bare_diff(at.sh("git diff HEAD~1 HEAD")));
  }
  at.sh("git gc -q --prune=now && git pack-refs --all");
  CHECK(at.text("git_diff", {{"from", "v2~1"}, {"to", "side"}}) ==
        bare_diff(at.sh("git diff HEAD~1 HEAD")));
  CHECK(contains(at.refusal("git_diff", {{"from", "nowhere"}}), "no revision \"nowhere\""));
  CHECK(contains(at.refusal("git_diff", {{"from", "v2~9"}}), "does not go back so far"));
  for (const std::string wrong :
       {"--output=x", "../../etc/passwd", "v2:f", "v2~x", "a b", "config"}) {
    INFO(wrong);
    at.refusal("git_diff", {{"from", wrong}});
  }
}

TEST_CASE("git_diff cuts long output, keeps it whole and says nothing of binary bytes") {
  GitFixture at;
  at.sh(
      "git init -q . && seq -f 'number %.0f of many numbers' 1 20000 > f && printf 'a\\0b' > b && "
      "git add . && git commit -qm one");
  at.sh("seq -f 'number %.0f of many numbers' 20001 40000 > f && printf 'c\\0d' > b");
  const auto outcome = at.call("git_diff", Json::object());
  CHECK(outcome.text.size() < 40'000);
  CHECK(outcome.full_output.size() > outcome.text.size());
  CHECK(contains(outcome.text, "M b: not text, 3 bytes"));
}

TEST_CASE("git_log shows commits newest first, of a path, with whole messages") {
  GitFixture at;
  at.sh("git init -q -b main .");
  CHECK(contains(at.text("git_log"), "[no commits yet]"));
  at.sh(R"(
    export GIT_COMMITTER_DATE GIT_AUTHOR_DATE
    for i in 1 2 3 4 5; do
      GIT_COMMITTER_DATE=2026-02-0${i}T10:00:00Z; GIT_AUTHOR_DATE=$GIT_COMMITTER_DATE
      echo $i > f$((i % 2)); git add .; git commit -qm "Number $i" -m 'Because.'
    done
    GIT_COMMITTER_DATE=2026-02-06T10:00:00Z
    git checkout -q -b side HEAD~2; echo s > s; git add .; git commit -qm side
    git checkout -q main; git merge -q --no-edit side)");
  CHECK(at.text("git_log", {{"count", 500}}) ==
        at.sh("git log --format='%h %ad %an: %s' --date=short --abbrev=7"));
  CHECK(at.text("git_log", {{"path", "f1"}}) ==
        at.sh("git log --format='%h %ad %an: %s' --date=short --abbrev=7 -- f1"));
  CHECK(at.text("git_log", {{"revision", "side"}, {"count", 1}}) ==
        at.sh("git log -1 --format='%h %ad %an: %s' --date=short --abbrev=7 side") +
            "[the newest 1 commits; count asks for more]\n");
  CHECK(contains(at.text("git_log", {{"whole_messages", true}}), "Number 5\n    Because.\n\n"));
  const auto id = at.sh("git rev-parse HEAD~1").substr(0, 10);
  CHECK(contains(at.text("git_log", {{"revision", id}}), id.substr(0, 7)));
  at.sh(
      "git clone -q --depth 2 file://$PWD clone && rm -rf .git && mv clone/.git . && rm -r clone");
  CHECK(split_lines(at.text("git_log")).size() >= 2);
}

TEST_CASE("settings and hooks of a hostile repository do nothing") {
  GitFixture at;
  at.sh(R"(git init -q . && echo a > f && git add f && git commit -qm one && echo b > f
    printf '#!/bin/sh\ntouch %s/ran\n' "$PWD" > evil.sh; chmod +x evil.sh
    for h in post-index-change fsmonitor-watchman reference-transaction; do cp evil.sh .git/hooks/$h; done
    cat >> .git/config <<EOF
[core]
  fsmonitor = "$PWD/evil.sh"
  worktree = /
  pager = "$PWD/evil.sh"
  hooksPath = "$PWD"
[diff]
  external = "$PWD/evil.sh"
[diff "x"]
  textconv = "$PWD/evil.sh"
  command = "$PWD/evil.sh"
[filter "x"]
  clean = "$PWD/evil.sh"
  process = "$PWD/evil.sh"
[include]
  path = fifo
EOF
    mkfifo .git/fifo .git/info/attributes
    echo '* diff=x filter=x' > .gitattributes)");
  CHECK(contains(at.text("git_status"), "  M f\n"));
  CHECK(contains(at.text("git_diff"), "-a\n+b\n"));
  CHECK(contains(at.text("git_log"), ": one\n"));
  CHECK_FALSE(fs::exists(at.folder / "ran"));
}

TEST_CASE("a repository that reaches outside of the workspace is refused") {
  GitFixture at;
  test::TemporaryFolder outside;
  at.sh("git init -q . && echo a > f && git add f && git commit -qm one");
  at.sh("cp -r .git '" + (outside / "git").string() + "'");
  const auto refused = [&](const std::string& damage, const std::string& word) {
    INFO(damage);
    at.sh("cp -r .git saved");
    at.sh(damage);
    for (const std::string tool : {"git_status", "git_diff", "git_log"}) {
      CHECK(contains(at.refusal(tool), word));
    }
    at.sh("rm -rf .git && mv saved .git");
  };
  const std::string there = (outside / "git").string();
  refused("rm -rf .git && ln -s '" + there + "' .git", "leads out");
  refused("rm -rf .git && echo 'gitdir: " + there + "' > .git", "use git in the shell");
  refused("echo '" + there + "' > .git/commondir", "use git in the shell");
  refused("echo '" + there + "/objects' > .git/objects/info/alternates", "use git in the shell");
  refused("rm -rf .git/objects && ln -s '" + there + "/objects' .git/objects", "plain folder");
  refused("rm -rf .git/objects/pack && ln -s '" + there + "/objects/pack' .git/objects/pack",
          "plain folder");
  refused("for f in $(find .git/objects -type f); do rm -f $f; mkfifo $f; done", "");
  refused("mkfifo .git/objects/pack/x.pack", "not a plain file");
  refused("ln -s '" + there + "/HEAD' .git/objects/pack/x.idx", "not a plain file");
  refused("rm .git/HEAD && mkfifo .git/HEAD", "");
  refused("rm .git/HEAD && ln -s '" + there + "/HEAD' .git/HEAD", "leads out");
  refused("echo 'ref: ../../../etc/passwd' > .git/HEAD", "HEAD");
  refused("echo 'ref: refs/heads/a' > .git/refs/heads/a && echo 'ref: refs/heads/a' > .git/HEAD",
          "cannot be read");
}

TEST_CASE("damaged repositories are refused or read as far as they go, never worse") {
  GitFixture at;
  at.sh("git init -q . && mkdir d && echo a > d/f && git add . && git commit -qm one");
  at.sh("chmod -R u+w .git && cp -r .git good");
  for (int i = 0; i < 40; ++i) {
    // One byte of one file of the repository is another.
    at.sh(
        "rm -rf .git && cp -r good .git\n"
        "f=$(find .git -type f -size +0 ! -name '*.sample' | sort | sed -n " +
        std::to_string(1 + i % 9) +
        "p)\n"
        "printf '\\377' | dd of=\"$f\" bs=1 conv=notrunc status=none seek=$((" +
        std::to_string(i * 37) + " % $(stat -c %s \"$f\")))");
    for (const std::string tool : {"git_status", "git_diff", "git_log"}) {
      const auto outcome = at.call(tool, Json::object());
      CHECK(is_utf8(outcome.text));
      CHECK_FALSE(outcome.text.empty());
    }
  }
}

TEST_CASE("a tree with more files than can be read ends at its bound") {
  GitFixture at;
  // Ten levels of ten names for the same tree: ten thousand million files in eleven objects.
  at.sh(R"(git init -q -b main .
    blob=$(echo x | git hash-object -w --stdin)
    line="100644 blob $blob"
    for level in 1 2 3 4 5 6 7 8 9 10; do
      for n in 0 1 2 3 4 5 6 7 8 9; do printf '%s\tn%s\n' "$line" $n; done > entries
      tree=$(git mktree < entries); line="040000 tree $tree"
    done
    rm entries
    git update-ref refs/heads/main $(git commit-tree -m bomb $tree))");
  CHECK(contains(at.text("git_status"), "the search was cut short"));
  CHECK(contains(at.text("git_diff", {{"only_names", true}}), "changed files more"));
  CHECK(contains(at.text("git_log", {{"path", "n0/n0/n0/n0"}}), "bomb"));
}

TEST_CASE("names with control characters and foreign bytes are inert in git's results") {
  GitFixture at;
  at.sh(R"sh(git init -q . && printf x > "$(printf 'a\033[31m\nb\377')" && git add .
    git commit -qm "$(printf 'sub\033]0;title\007ject')")sh");
  const auto log = at.text("git_log");
  CHECK_FALSE(contains(log, "\x1b"));
  at.sh("rm a*");
  const auto status = at.text("git_status");
  CHECK_FALSE(contains(status, "\x1b"));
  CHECK(contains(status, "a\\x1b[31m\\nb"));
}
