// Programs in the background of a session, with and without a terminal.
#include <signal.h>

#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using namespace std::chrono_literals;
using sable::test::SandboxRunner;
using sable::test::SessionRunner;

namespace {

std::shared_ptr<Process> start(SessionRunner& session, std::vector<std::string> argv,
                               ProcessOptions options = {}) {
  auto process = session.await(session.session().start({.argv = std::move(argv)}, options));
  INFO((process ? "" : process.error().message));
  REQUIRE(process);
  return std::move(*process);
}

// What the program says until `text` is in it, or ten seconds have passed.
std::string read_until(SessionRunner& session, Process& process, const std::string& text) {
  std::string all;
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (all.find(text) == std::string::npos && std::chrono::steady_clock::now() < until) {
    const auto output = session.await(process.read(1s));
    all += output.bytes;
    if (!output.running && output.bytes.empty()) break;
  }
  return all;
}

}  // namespace

TEST_CASE("a program in the background is written to and read from while it runs") {
  SandboxRunner runner;
  SessionRunner session(runner);
  const auto process = start(session, {"/bin/sh", "-c", "while read x; do echo got $x; done"});
  REQUIRE(process->write("one\n"));
  CHECK(read_until(session, *process, "one") == "got one\n");
  REQUIRE(process->write("two\n"));
  CHECK(read_until(session, *process, "two") == "got two\n");
  CHECK(process->running());
  REQUIRE(process->close_input());
  const auto result = session.await(process->wait());
  REQUIRE(result);
  CHECK(result->end == End::exited);
  CHECK_FALSE(process->running());
  CHECK_FALSE(process->write("three\n"));
}

TEST_CASE("a server in the background serves other calls of its session") {
  SandboxRunner runner;
  runner.folder().write("index.html", "hello");
  SessionRunner session(runner, {.network = Network::loopback});
  const auto server = start(
      session, {"/usr/bin/python3", "-u", "-m", "http.server", "8125", "--bind", "127.0.0.1"});
  CHECK_THAT(read_until(session, *server, "Serving"), Catch::Contains("Serving"));
  const auto outcome = session.run(
      {"/usr/bin/python3", "-c",
       "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8125/index.html').read())"});
  CHECK(outcome.output == "b'hello'\n");
}

TEST_CASE("stopping a program asks first, then kills everything it started") {
  SandboxRunner runner;
  SessionRunner session(runner, {.limits = {.grace = 3s}});
  const std::string marker = test::unique_marker();
  const auto polite = start(
      session,
      {"/bin/sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done"});
  read_until(session, *polite, "up");
  const auto end = session.await(polite->stop());
  REQUIRE(end);
  CHECK(end->end == End::cancelled);
  CHECK(end->exit_code == 3);
  CHECK_THAT(session.await(polite->read(0ms)).bytes, Catch::EndsWith("bye\n"));

  const auto deaf = start(session, {"/usr/bin/python3", "-c",
                                    "import os, signal, time\n"
                                    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                    "if os.fork() == 0: os.setsid()\n"
                                    "print('up', flush=True)\ntime.sleep(600)  # " +
                                        marker});
  read_until(session, *deaf, "up");
  CHECK(test::processes_with(marker) == 2);
  REQUIRE(session.await(deaf->stop()));
  CHECK(test::processes_with(marker) == 0);
}

TEST_CASE("programs in the background end with their handle, and with their session") {
  SandboxRunner runner;
  const std::string first = test::unique_marker(), second = test::unique_marker();
  std::shared_ptr<Process> kept;
  {
    SessionRunner session(runner);
    auto dropped = start(session, {"/bin/sh", "-c", "echo up; sleep 600; echo " + first});
    kept = start(session, {"/bin/sh", "-c", "echo up; sleep 600; echo " + second});
    read_until(session, *dropped, "up");
    read_until(session, *kept, "up");
    dropped.reset();
    session.run({"sleep", "0.3"});
    CHECK(test::processes_with(first) == 0);
    CHECK(test::processes_with(second) == 1);
  }
  CHECK(test::processes_with(second) == 0);
  CHECK_FALSE(kept->running());
}

TEST_CASE("only the last of what nobody reads is kept, and the rest is counted") {
  SandboxRunner runner;
  SessionRunner session(runner);
  const auto process =
      start(session, {"/bin/sh", "-c", "seq 1 100000; echo done"}, {.output_kept = 1000});
  REQUIRE(session.await(process->wait()));
  const auto output = session.await(process->read(0ms));
  CHECK(output.bytes.size() <= 1500);
  CHECK(output.skipped + output.bytes.size() == 588'895 + 5);
  CHECK_THAT(output.bytes, Catch::EndsWith("100000\ndone\n"));
}

TEST_CASE("a program that cannot be started says why in its result") {
  SandboxRunner runner;
  SessionRunner session(runner);
  const auto process = start(session, {"no-such-program"});
  const auto result = session.await(process->wait());
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::not_found);
}

TEST_CASE("with a terminal a program has a terminal of its own, of the size that was asked for") {
  SandboxRunner runner;
  SessionRunner session(runner);
  const ProcessOptions options{.terminal = TerminalSize{.columns = 101, .rows = 37}};
  const auto process =
      start(session,
            {"/bin/sh", "-c",
             "tty; [ -t 0 ] && [ -t 2 ] && echo yes; stty size; ls -1 /dev/pts; echo "
             "$TERM; read x; stty size; cat"},
            options);
  const std::string first = read_until(session, *process, "xterm");
  CHECK_THAT(first, Catch::Contains("/dev/pts/0\r\nyes\r\n37 101\r\n0\r\nptmx\r\n"));
  REQUIRE(process->resize({.columns = 50, .rows = 10}));
  REQUIRE(process->write("\n"));
  CHECK_THAT(read_until(session, *process, "10 50"), Catch::Contains("10 50"));
  // Only what cat itself repeats shows that it runs: between two programs a shell survives an
  // interrupt.
  REQUIRE(process->write("hello\n"));
  read_until(session, *process, "hello\r\nhello\r\n");
  REQUIRE(process->write("\x03"));  // interrupts, as typed
  const auto result = session.await(process->wait());
  REQUIRE(result);
  CHECK(result->signal == SIGINT);
}

TEST_CASE("nothing can be typed into a terminal from within, and no other is to be found") {
  SandboxRunner runner;
  SessionRunner session(runner);
  const auto process = start(session,
                             {"/usr/bin/python3", "-c",
                              "import fcntl, os, termios\n"
                              "try: fcntl.ioctl(0, termios.TIOCSTI, b'x'); print('typed')\n"
                              "except OSError as e: print('errno', e.errno)\n"
                              "try: os.open('/dev/tty', os.O_RDWR); print('found')\n"
                              "except OSError as e: print('errno', e.errno)\n"},
                             {.terminal = TerminalSize{}});
  const auto result = session.await(process->wait());
  REQUIRE(result);
  const auto output = session.await(process->read(0ms));
  CHECK(output.bytes == "errno 1\r\nerrno 2\r\n");
}
