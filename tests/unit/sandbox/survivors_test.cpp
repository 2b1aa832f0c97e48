// Calls end, whatever their processes do, and whoever dies first.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <sys/wait.h>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using namespace std::chrono_literals;
using sable::test::all_gone;
using sable::test::launcher_of;
using sable::test::processes_with;
using sable::test::SandboxRunner;
using sable::test::unique_marker;

namespace {

// A daemon as daemons are made, deaf to SIGTERM and holding no pipe; and a parent just as deaf.
std::string stubborn(const std::string& marker) {
  return "import os, signal, time\n"
         "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
         "if os.fork() == 0:\n"
         "  os.setsid()\n"
         "  if os.fork() == 0:\n"
         "    for fd in (0, 1, 2): os.close(fd)\n"
         "    time.sleep(600)  # " +
         marker +
         "\n"
         "  os._exit(0)\n"
         "print('ready', flush=True)\n";
}

std::vector<std::string> python(const std::string& script) {
  return {"/usr/bin/python3", "-c", script};
}

Policy writable(const SandboxRunner& runner) { return {.writable = {runner.folder().path()}}; }

}  // namespace

TEST_CASE("after the deadline nothing of a call is alive, daemons that ignore SIGTERM included") {
  SandboxRunner runner;
  const std::string marker = unique_marker();
  const auto outcome = runner.run(python(stubborn(marker) + "time.sleep(600)"),
                                  {.limits = {.wall = 500ms, .grace = 200ms}});
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::deadline);
  CHECK(outcome.result->wall < 60s);  // not the ten minutes that it would take
  CHECK(outcome.output == "ready\n");
  CHECK(processes_with(marker) == 0);
}

TEST_CASE("at the deadline a program may end by itself within the grace") {
  SandboxRunner runner;
  const auto outcome = runner.shell("trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done",
                                    {.limits = {.wall = 300ms, .grace = 10min}});
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::deadline);
  CHECK(outcome.result->exit_code == 3);
  CHECK(outcome.output == "bye\n");
  CHECK(outcome.result->wall < 60s);
}

TEST_CASE("a daemon that a finished command left behind is gone with it") {
  SandboxRunner runner;
  const std::string marker = unique_marker();
  const auto outcome = runner.run(python(stubborn(marker)));
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::exited);
  CHECK(processes_with(marker) == 0);
}

TEST_CASE("cancelling a call at any moment kills it and says so") {
  SandboxRunner runner;
  const std::string marker = unique_marker();
  REQUIRE(runner.run({"true"}).result);  // what a root needs once is there
  const int descriptors = test::open_descriptors();
  for (int delay_us : {0, 50, 200, 500, 1000, 2000, 3000, 5000, 10000, 50000}) {
    INFO(delay_us);
    asio::io_context loop;
    asio::cancellation_signal stop;
    std::optional<Result<RunResult>> result;
    asio::co_spawn(
        loop,
        runner.box().run(writable(runner),
                         {.argv = python("import time; time.sleep(600) #" + marker)}, {}),
        asio::bind_cancellation_slot(
            stop.slot(), [&](const std::exception_ptr& failure, Result<RunResult> done) {
              CHECK_FALSE(failure);
              result = std::move(done);
            }));
    asio::steady_timer timer(loop, std::chrono::microseconds(delay_us));
    timer.async_wait([&](auto) { stop.emit(asio::cancellation_type::terminal); });
    loop.run();
    REQUIRE(result);
    REQUIRE(*result);
    CHECK((*result)->end == End::cancelled);
    CHECK(processes_with(marker) == 0);
  }
  CHECK(test::open_descriptors() <= descriptors);
}

TEST_CASE("sixteen calls at once end each with its own output, and leave no descriptor") {
  SandboxRunner runner;
  REQUIRE(runner.run({"true"}).result);
  const int before = test::open_descriptors();
  {
    asio::io_context loop;
    std::vector<std::string> outputs(16);
    int n_done = 0;
    for (size_t i = 0; i < outputs.size(); ++i) {
      asio::co_spawn(
          loop,
          runner.box().run(writable(runner),
                           {.argv = {"sh", "-c", "sleep 0.1; echo " + std::to_string(i)}},
                           [&outputs, i](Stream, std::string_view bytes) { outputs[i] += bytes; }),
          [&](const std::exception_ptr& failure, const Result<RunResult>& result) {
            CHECK_FALSE(failure);
            CHECK((result && result->exit_code == 0));
            ++n_done;
          });
    }
    loop.run();
    CHECK(n_done == 16);
    for (size_t i = 0; i < outputs.size(); ++i) CHECK(outputs[i] == std::to_string(i) + "\n");
  }
  CHECK(test::open_descriptors() <= before);
  std::this_thread::sleep_for(50ms);
  // The sandbox made ahead for the next call, and nothing of these.
  CHECK(test::children_of(launcher_of(::getpid())) <= 1);
}

namespace {

// Starts a call that never ends and waits until its program runs; runs in a child of the test.
[[noreturn]] void run_forever(const std::string& marker) {
  SandboxRunner runner;
  runner.run(python(stubborn(marker) + "time.sleep(600)"));
  ::_exit(0);
}

bool appears(const std::string& marker) {
  for (int tries = 0; tries < 1000 && processes_with(marker) < 2; ++tries)
    std::this_thread::sleep_for(10ms);
  return processes_with(marker) >= 2;
}

}  // namespace

TEST_CASE("when the runtime is killed with SIGKILL, nothing of its calls stays alive") {
  const std::string marker = unique_marker();
  const pid_t child = ::fork();
  if (child == 0) run_forever(marker);
  REQUIRE(appears(marker));
  const pid_t launcher = launcher_of(child);
  REQUIRE(launcher > 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(all_gone(marker));
  for (int tries = 0; tries < 100 && test::is_alive(launcher); ++tries) {
    std::this_thread::sleep_for(10ms);
  }
  CHECK_FALSE(test::is_alive(launcher));
}

TEST_CASE("the launcher has no environment, and knows its parent's number and nothing else") {
  ::setenv("SABLE_TEST_SECRET", "do not tell", 1);
  SandboxRunner runner;
  ::unsetenv("SABLE_TEST_SECRET");
  REQUIRE(runner.run({"true"}).result);
  const std::string launcher = "/proc/" + std::to_string(launcher_of(::getpid()));
  std::ifstream arguments(launcher + "/cmdline", std::ios::binary);
  const std::string line{std::istreambuf_iterator<char>(arguments), {}};
  REQUIRE(line.find('\0') != std::string::npos);
  CHECK(line.substr(line.find('\0')) ==
        std::string(1, '\0') + std::to_string(::getpid()) + std::string(1, '\0'));
  // It lets nobody look into it; root may, and finds nothing.
  std::ifstream environment(launcher + "/environ", std::ios::binary);
  CHECK((!environment || environment.peek() == std::char_traits<char>::eof()));
}

TEST_CASE("when the launcher is killed, its calls die and run() says what happened") {
  SandboxRunner runner;
  const std::string marker = unique_marker();
  asio::io_context loop;
  std::optional<Result<RunResult>> result;
  asio::co_spawn(
      loop,
      runner.box().run(writable(runner), {.argv = python(stubborn(marker) + "time.sleep(600)")},
                       [&](Stream, std::string_view) { ::kill(launcher_of(::getpid()), SIGKILL); }),
      [&](const std::exception_ptr&, Result<RunResult> done) { result = std::move(done); });
  loop.run();
  REQUIRE(result);
  // The call's own supervisor, which dies with the launcher, may still tell of the command's death.
  if (*result) {
    CHECK((*result)->signal == SIGKILL);
  } else {
    CHECK(result->error().code == ErrorCode::io);
    CHECK_THAT(result->error().message, Catch::Contains("launcher ended"));
  }
  CHECK(all_gone(marker));
  const auto next = runner.run({"true"});
  REQUIRE_FALSE(next.result);
  CHECK(next.result.error().code == ErrorCode::io);
}
