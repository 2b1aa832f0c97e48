// What the calls of one session share, and what they do not.
#include <signal.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "sandbox/session_plan.h"
#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using namespace std::chrono_literals;
using sable::test::Outcome;
using sable::test::SandboxRunner;
using sable::test::SessionRunner;

TEST_CASE("what a call leaves in /tmp the next call of its session finds, and nobody else") {
  SandboxRunner runner;
  SessionRunner one(runner), other(runner);
  CHECK(one.shell("echo kept > /tmp/file; echo home > ~/file").result->exit_code == 0);
  CHECK(one.shell("cat /tmp/file ~/file").output == "kept\nhome\n");
  CHECK(other.shell("ls /tmp/file").result->exit_code != 0);
  CHECK(runner.shell("ls /tmp/file").result->exit_code != 0);
}

TEST_CASE("a call of a session sees only its own processes, and leaves none") {
  SandboxRunner runner;
  SessionRunner session(runner);
  const std::string marker = test::unique_marker();
  const auto first = session.shell("setsid sleep 600 " + marker + " & echo started");
  CHECK(first.output == "started\n");
  CHECK(test::processes_with(marker) == 0);
  CHECK(session.shell(test::count_processes_and_parent).output == "2\n1\n");
}

TEST_CASE("calls of one session at the same time reach each other over its loopback") {
  SandboxRunner runner;
  SessionRunner session(runner, {.network = Network::loopback});
  const std::vector<std::string> server = {
      "/usr/bin/python3", "-c",
      "import socket\n"
      "s = socket.create_server(('127.0.0.1', 8124)); s.settimeout(20)\n"
      "print(s.accept()[0].recv(2))\n"};
  const std::vector<std::string> client = {
      "/usr/bin/python3", "-c",
      "import socket, time\n"
      "for i in range(400):\n"
      "  try: socket.create_connection(('127.0.0.1', 8124)).sendall(b'hi'); break\n"
      "  except OSError: time.sleep(0.05)\n"};
  const auto outcomes = session.run_together({server, client});
  CHECK(outcomes[0].output == "b'hi'\n");
}

TEST_CASE("sixteen calls of one session at once end each with its own output") {
  SandboxRunner runner;
  SessionRunner session(runner);
  std::vector<std::vector<std::string>> commands;
  for (int i = 0; i < 16; ++i)
    commands.push_back({"sh", "-c", "sleep 0.1; echo " + std::to_string(i)});
  const auto outcomes = session.run_together(commands);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    REQUIRE(outcomes[i].result);
    CHECK(outcomes[i].output == std::to_string(i) + "\n");
  }
}

TEST_CASE("a repository that one call makes is protected from the next") {
  SandboxRunner runner;
  SessionRunner session(runner);
  const auto made = session.shell(
      "mkdir -p new/.git/hooks new/.git/objects new/.git/refs; echo a > new/.git/config; echo b > "
      "new/.git/HEAD");
  REQUIRE(made.result);
  CHECK(made.result->protected_changes.size() == 1);
  const auto outcome = session.shell(
      "echo x >> new/.git/config; echo x > new/.git/hooks/pre-commit; mv new/.git new/x");
  CHECK(outcome.result->exit_code != 0);
  CHECK(runner.folder().read("new/.git/config") == "a\n");
  CHECK_FALSE(std::filesystem::exists(runner.folder() / "new/.git/hooks/pre-commit"));
}

TEST_CASE("a protected file that the host replaces stays protected in the session") {
  SandboxRunner runner;
  runner.folder().write(".envrc", "old");
  SessionRunner session(runner);
  CHECK(session.shell("cat .envrc").output == "old");
  runner.folder().write("next", "new");
  std::filesystem::rename(runner.folder() / "next", runner.folder() / ".envrc");
  const auto outcome = session.shell("cat .envrc; echo evil > .envrc");
  CHECK(outcome.output == "new");
  CHECK(outcome.result->exit_code != 0);
  CHECK(runner.folder().read(".envrc") == "new");
}

TEST_CASE("a call of a session cannot change what the session's other calls see of the system") {
  SandboxRunner runner;
  SessionRunner session(runner);
  CHECK(session.shell("mkdir /x || touch /proc/sys/user/max_user_namespaces").result->exit_code !=
        0);
  // A program of one call knows no way to the processes of another, nor to the keeper.
  const auto outcome =
      session.shell("kill -9 1; kill -9 2>/dev/null -- -1; sleep 0.05; echo alive");
  CHECK(session.shell("echo next").output == "next\n");
}

TEST_CASE("a command may have less time than its session's policy, and never more") {
  SandboxRunner runner;
  const auto timed = [&](std::chrono::milliseconds policy, std::chrono::milliseconds own) {
    SessionRunner session(runner, {.limits = {.wall = policy, .grace = 100ms}});
    return session.await(session.session().run({.argv = {"sleep", "600"}, .wall = own},
                                               [](Stream, std::string_view) {}));
  };
  for (const auto& result : {timed(60s, 100ms), timed(100ms, 60s)}) {
    REQUIRE(result);
    CHECK(result->end == End::deadline);
    CHECK(result->wall < 60s);
  }
}

TEST_CASE("when a session is dropped, its keeper is gone") {
  SandboxRunner runner;
  const pid_t launcher = test::launcher_of(::getpid());
  {
    SessionRunner session(runner);
    REQUIRE(session.shell("true").result);
    CHECK(test::children_of(launcher) >= 1);
  }
  for (int tries = 0; tries < 500 && test::children_of(launcher) > 0; ++tries) ::usleep(10'000);
  CHECK(test::children_of(launcher) == 0);
}

TEST_CASE("a folder that was replaced since the session was opened is refused by name") {
  SandboxRunner runner;
  test::TemporaryFolder outer;
  std::filesystem::create_directory(outer / "work");
  SessionRunner session(runner, {.writable = {outer / "work"}});
  REQUIRE(session.shell("true").result);
  std::filesystem::rename(outer / "work", outer / "old");
  std::filesystem::create_directory(outer / "work");
  const auto outcome = session.shell("true");
  REQUIRE_FALSE(outcome.result);
  CHECK_THAT(outcome.result.error().message,
             Catch::Contains("work") && Catch::Contains("open a new one"));
}

TEST_CASE("a worker adds its own folders and newly protected paths, and nothing else") {
  Plan whole;
  whole.view = {{.kind = ViewKind::directory, .target = "/proc"},
                {.kind = ViewKind::process_folder, .access = Access::read, .target = "/proc"},
                {.kind = ViewKind::cover_file, .target = "/proc/kcore"},
                {.kind = ViewKind::bind, .access = Access::read, .target = "/usr", .inode = 1},
                {.kind = ViewKind::bind, .access = Access::write, .target = "/w", .inode = 2}};
  const Plan keeper = keeper_plan(whole);
  CHECK(keeper.role == Role::keeper);
  CHECK(keeper.view.size() == 3);
  Plan now = whole;
  now.view.push_back({.kind = ViewKind::bind, .target = "/w/.envrc", .inode = 3});
  now.view[3].inode = 9;
  const auto worker = worker_plan(keeper, now, {{"/w/.envrc", {}}});
  REQUIRE(worker);
  CHECK(worker->role == Role::worker);
  REQUIRE(worker->view.size() == 3);
  CHECK(worker->view.back().target == "/w/.envrc");
  now.view[4].inode = 10;
  CHECK_FALSE(worker_plan(keeper, now, {}));
}
