// Real commands in the real sandbox.
#include <signal.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using sable::test::open_descriptors;
using sable::test::Outcome;
using sable::test::SandboxRunner;
using sable::test::TemporaryFolder;
using namespace std::chrono_literals;

namespace {

const RunResult& result_of(const Outcome& outcome) {
  INFO((outcome.result ? "" : outcome.result.error().message));
  REQUIRE(outcome.result);
  return *outcome.result;
}

std::string error_of(const Outcome& outcome, ErrorCode code) {
  REQUIRE_FALSE(outcome.result);
  CHECK(outcome.result.error().code == code);
  return outcome.result.error().message;
}

}  // namespace

TEST_CASE("a command runs, its streams and exit code come back") {
  SandboxRunner runner;
  const auto outcome = runner.shell("echo out; echo err >&2; exit 7");
  const auto& result = result_of(outcome);
  CHECK(result.end == End::exited);
  CHECK(result.exit_code == 7);
  CHECK(outcome.output == "out\n");
  CHECK(outcome.errors == "err\n");
  CHECK(result.stdout_bytes == 4);
  CHECK(result.stderr_bytes == 4);
  CHECK(result.explanation.empty());
}

TEST_CASE("standard input is what the caller gave, to its end") {
  SandboxRunner runner;
  CHECK(runner.run({"cat"}, {}, "hello").output == "hello");
  CHECK(runner.run({"cat"}).output.empty());
  const std::string large(3'000'000, 'x');
  CHECK(runner.run({"wc", "-c"}, {}, large).output == "3000000\n");
  CHECK(result_of(runner.run({"true"}, {}, large)).exit_code == 0);
}

TEST_CASE("a writable root can be written, and the host sees it") {
  SandboxRunner runner;
  CHECK(result_of(runner.shell("pwd && echo new > made")).exit_code == 0);
  CHECK(runner.folder().read("made") == "new\n");
}

TEST_CASE("nothing outside the writable roots can be written") {
  SandboxRunner runner;
  const TemporaryFolder outside;
  outside.write("file", "old");
  const std::string path = outside.path();
  for (const std::string& script :
       std::vector<std::string>{"echo new > " + path + "/file", "echo new > " + path + "/other",
                                "rm -r " + path, "echo x > /usr/evil", "echo x > /etc/passwd",
                                "echo x > /evil", "chmod 777 /usr/bin/env"}) {
    INFO(script);
    CHECK(result_of(runner.shell(script + " || exit 42")).exit_code != 0);
  }
  CHECK(outside.read("file") == "old");
  // A folder that may be read cannot be written, and its metadata cannot be changed.
  for (const std::string& script : std::vector<std::string>{
           "echo new > " + path + "/file", "touch " + path + "/file", "chmod 777 " + path + "/file",
           "mv " + path + "/file " + path + "/g"}) {
    INFO(script);
    CHECK(result_of(runner.shell(script, {.readable = {outside.path()}})).exit_code != 0);
  }
  CHECK(runner.shell("cat " + path + "/file", {.readable = {outside.path()}}).output == "old");
  CHECK(outside.read("file") == "old");
}

TEST_CASE("a FIFO in a readable folder cannot be written to") {
  SandboxRunner runner;
  const TemporaryFolder outside;
  REQUIRE(::mkfifo((outside / "fifo").c_str(), 0666) == 0);
  const auto outcome =
      runner.shell("exec 3<>" + (outside / "fifo").string(), {.readable = {outside.path()}});
  CHECK(result_of(outcome).exit_code != 0);
  CHECK_THAT(outcome.errors, Catch::Contains("denied") || Catch::Contains("Read-only"));
}

TEST_CASE("there is no network") {
  SandboxRunner runner;
  const auto outcome =
      runner.run({"/usr/bin/python3", "-c",
                  "import socket\n"
                  "for f in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):\n"
                  "  try: socket.socket(f, socket.SOCK_STREAM); print('made', f)\n"
                  "  except OSError as e: print(e.errno)\n"});
  CHECK(outcome.output == "97\n97\n97\n97\n");
}

TEST_CASE("with loopback, processes of one call reach each other and nothing else") {
  SandboxRunner runner;
  const auto outcome =
      runner.run({"/usr/bin/python3", "-c",
                  "import socket, threading\n"
                  "s = socket.create_server(('127.0.0.1', 0))\n"
                  "c = socket.create_connection(s.getsockname())\n"
                  "c.sendall(b'hi'); print(s.accept()[0].recv(2))\n"
                  "try: socket.create_connection(('192.0.2.1', 80), 1); print('out')\n"
                  "except OSError as e: print(e.errno)\n"},
                 {.network = Network::loopback});
  CHECK(outcome.output == "b'hi'\n101\n");
}

TEST_CASE("a command sees only its own processes, as pid 1's children") {
  SandboxRunner runner;
  const auto outcome = runner.shell(test::count_processes_and_parent);
  CHECK(outcome.output == "2\n1\n");
}

TEST_CASE("a command gets the fixed environment, the policy's, and nothing of ours") {
  ::setenv("SABLE_TEST_SECRET", "s3cret", 1);
  SandboxRunner runner;
  const auto outcome = runner.run({"env"}, {.environment = {{"GIVEN", "yes"}}});
  CHECK_THAT(outcome.output, Catch::Contains("GIVEN=yes\n"));
  CHECK_THAT(outcome.output, Catch::Contains("HOME=/tmp/home\n"));
  CHECK_THAT(outcome.output, !Catch::Contains("s3cret"));
}

TEST_CASE("a command holds three descriptors and no capability") {
  SandboxRunner runner;
  CHECK(runner.run({"ls", "/proc/self/fd"}).output == "0\n1\n2\n3\n");  // 3 is ls's own
  const auto outcome = runner.shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
  CHECK(outcome.output ==
        "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
        "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_CASE("temporary folders are private to a call and empty at its start") {
  SandboxRunner runner;
  CHECK(result_of(runner.shell("echo x > /tmp/sable-left; echo x > /dev/shm/left; echo x > ~/left"))
            .exit_code == 0);
  CHECK_FALSE(std::filesystem::exists("/tmp/sable-left"));
  CHECK(runner.shell("ls /dev/shm ~").output == "/dev/shm:\n\n/tmp/home:\n");
}

TEST_CASE("temporary folders are bounded together") {
  SandboxRunner runner;
  const auto outcome =
      runner.shell("head -c 3000000 /dev/zero > /tmp/a && head -c 3000000 /dev/zero > /dev/shm/b",
                   {.limits = {.temporary_bytes = 4 << 20}});
  CHECK(result_of(outcome).exit_code != 0);
  CHECK_THAT(outcome.errors, Catch::Contains("No space left"));
}

TEST_CASE("a masked path looks empty") {
  SandboxRunner runner;
  runner.folder().write("secret/key", "k");
  runner.folder().write("token", "t");
  const auto outcome =
      runner.shell("ls -A secret; cat token; touch secret/x; echo y > token",
                   {.masked = {runner.folder() / "secret", runner.folder() / "token"}});
  CHECK(outcome.output.empty());
  CHECK(runner.folder().read("token") == "t");
  CHECK_FALSE(std::filesystem::exists(runner.folder() / "secret/x"));
}

TEST_CASE("a repository's hooks and configuration cannot be changed, its objects can") {
  SandboxRunner runner;
  runner.folder().write(".git/hooks/pre-commit", "#!/bin/sh\n");
  runner.folder().write(".git/config", "[core]\n");
  const auto outcome = runner.shell(
      "echo x > .git/hooks/post-commit; echo x >> .git/config; mv .git away; rm -rf .git/hooks;"
      "mv .git/config .git/c2; ln -sf /x .git/config; echo x > .git/HEAD");
  result_of(outcome);
  CHECK(runner.folder().read(".git/hooks/pre-commit") == "#!/bin/sh\n");
  CHECK_FALSE(std::filesystem::exists(runner.folder() / ".git/hooks/post-commit"));
  CHECK(runner.folder().read(".git/config") == "[core]\n");
  CHECK(runner.folder().read(".git/HEAD") == "x\n");
}

TEST_CASE("links with protected names do not keep a command from running") {
  SandboxRunner runner;
  runner.folder().write("dot/bashrc", "old");
  std::filesystem::create_symlink("dot/bashrc", runner.folder() / ".bashrc");
  std::filesystem::create_symlink("/nowhere", runner.folder() / ".envrc");
  const auto outcome = runner.shell("echo new > .bashrc; rm .envrc; ln -s /evil .envrc");
  const auto& result = result_of(outcome);
  CHECK(runner.folder().read("dot/bashrc") == "old");
  CHECK(result.protected_changes == std::vector<std::filesystem::path>{runner.folder() / ".envrc"});
}

TEST_CASE("a program that does not exist is not found, by name and by path") {
  SandboxRunner runner;
  CHECK_THAT(error_of(runner.run({"no-such-program"}), ErrorCode::not_found),
             Catch::Contains("\"no-such-program\""));
  CHECK_THAT(error_of(runner.run({"/usr/bin/no-such-program"}), ErrorCode::not_found),
             Catch::Contains("does not exist"));
  runner.folder().write("text", "no program");
  error_of(runner.run({"./text"}), ErrorCode::not_found);
}

TEST_CASE("a working directory outside the view is refused") {
  SandboxRunner runner;
  asio::io_context loop;
  std::optional<Result<RunResult>> result;
  asio::co_spawn(
      loop,
      runner.box().run({.writable = {runner.folder().path()}},
                       {.argv = {"true"}, .working_directory = "/root"}, {}),
      [&](const std::exception_ptr&, Result<RunResult> done) { result = std::move(done); });
  loop.run();
  REQUIRE(result);
  REQUIRE_FALSE(*result);
  CHECK(result->error().code == ErrorCode::invalid_input);
  CHECK_THAT(result->error().message, Catch::Contains("\"/root\""));
}

TEST_CASE("output beyond its limit ends the command, and what came before it is delivered") {
  SandboxRunner runner;
  const auto outcome = runner.run({"yes"}, {.limits = {.output_bytes = 100'000}});
  const auto& result = result_of(outcome);
  CHECK(result.end == End::output_limit);
  CHECK(outcome.output.size() == 100'000);
  CHECK(result.stdout_bytes >= 100'000);
  CHECK_THAT(result.explanation, Catch::Contains("100000 bytes"));
}

TEST_CASE("memory beyond its limit ends the command, with a cgroup and by the watcher") {
  SandboxRunner runner("sable-launcher", GENERATE(true, false));
  const Policy small{.limits = {.memory_bytes = 100 << 20}};
  const auto one = runner.run(
      {"/usr/bin/python3", "-c", "x = bytearray(400 << 20)\nimport time; time.sleep(20)"}, small);
  CHECK(result_of(one).end == End::memory_limit);
  CHECK(one.result->wall < 15s);
  CHECK_THAT(one.result->explanation, Catch::Contains("104857600 bytes of memory"));

  // Each of them alone would fit, and whoever started them does not mind one's death.
  const auto many = runner.shell(
      "for i in 1 2 3 4 5; do python3 -c 'x = bytearray(40 << 20); import time; time.sleep(20)' & "
      "done; wait; sleep 20; echo survived",
      small);
  CHECK(result_of(many).end == End::memory_limit);
  CHECK(many.output.empty());
  CHECK(many.result->wall < 15s);

  const auto fits = runner.run({"/usr/bin/python3", "-c", "x = bytearray(20 << 20)"}, small);
  CHECK(result_of(fits).end == End::exited);
  CHECK(fits.result->exit_code == 0);
}

TEST_CASE("a fork bomb meets its bound and leaves nothing") {
  SandboxRunner runner;
  const std::string marker = test::unique_marker();
  const auto outcome = runner.run(
      {"/usr/bin/python3", "-c",
       "import os, time\nn = 0\n"
       "try:\n  while True:\n    if os.fork() == 0: time.sleep(60); os._exit(0)\n    n += 1\n"
       "except OSError as e: print(e.errno, n)\n",
       marker},
      {.limits = {.processes = 50}});
  CHECK(result_of(outcome).exit_code == 0);
  int error = 0, n = 0;
  REQUIRE(std::sscanf(outcome.output.c_str(), "%d %d", &error, &n) == 2);
  CHECK(error == EAGAIN);
  CHECK(n >= 40);
  CHECK(n <= 50);
  CHECK(test::all_gone(marker));
}

TEST_CASE("a program that dies of a signal is reported with it") {
  SandboxRunner runner;
  const auto result = result_of(runner.shell("kill -SEGV $$"));
  CHECK(result.end == End::signalled);
  CHECK(result.signal == SIGSEGV);
  CHECK_THAT(result.explanation, Catch::Contains("signal 11"));
}

TEST_CASE("sequential calls leave no descriptor behind") {
  SandboxRunner runner;
  result_of(runner.run({"true"}));
  const int before = open_descriptors();
  for (int i = 0; i < 200; ++i) REQUIRE(result_of(runner.run({"true"})).exit_code == 0);
  // What is made ahead comes and goes; one left by each call would be two hundred.
  CHECK(open_descriptors() < before + 50);
}

TEST_CASE("a sandbox does not start without its launcher, nor with a program that is none") {
  const auto missing = Sandbox::start("/nonexistent/sable-launcher");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::not_found);
  const auto other = Sandbox::start("/bin/true");
  REQUIRE_FALSE(other);
  CHECK(other.error().code == ErrorCode::io);
}

TEST_CASE("where namespaces are forbidden, starting says which step failed and what to do") {
  // A sandbox inside a sandbox is such a place.
  SandboxRunner runner;
  // The leak check of a sanitized build traces its process, which the sandbox forbids.
  const auto outcome = runner.run({"env", "ASAN_OPTIONS=detect_leaks=0",
                                   std::string(SABLE_BINARY_DIR) + "/test_sandbox", "[inside]"},
                                  {.readable = {std::filesystem::path(SABLE_BINARY_DIR)}});
  INFO(outcome.output << outcome.errors);
  CHECK(result_of(outcome).exit_code == 0);
}

TEST_CASE("inside a sandbox no second one is made", "[.][inside]") {
  const auto started = Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
  REQUIRE_FALSE(started);
  WARN(started.error().message);
  // Here already the socket to the launcher is refused, or the launcher's clone.
  CHECK((started.error().code == ErrorCode::unsupported || started.error().code == ErrorCode::io));
  bool some_missing = false;
  for (const auto& layer : probe_layers()) some_missing |= layer.state == Layer::State::missing;
  CHECK(some_missing);
}

TEST_CASE("a masked path is empty below a root that may only be read, also in a private folder") {
  SandboxRunner runner;
  test::TemporaryFolder shared;  // below /tmp, which a command has its own of
  shared.write("open", "public\n");
  shared.write("secret/key", "PRIVATE");
  shared.write("word", "PRIVATE");
  const std::string at = shared.path().string();
  const auto shown = runner.shell(
      "cat " + at + "/open " + at + "/secret/key " + at + "/word; ls -A " + at + "/secret",
      {.readable = {shared.path()}, .masked = {shared / "secret", shared / "word"}});
  CHECK(shown.output == "public\n");
}
