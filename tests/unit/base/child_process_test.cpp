#include "base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace std::chrono_literals;

TEST_CASE("a child's exit code and signal come back") {
  auto exits = ChildProcess::start({.argv = {"/bin/sh", "-c", "exit 7"}});
  REQUIRE(exits);
  CHECK(exits->wait().value().exit_code == 7);
  auto sleeps = ChildProcess::start({.argv = {"/bin/sleep", "100"}});
  REQUIRE(sleeps);
  CHECK(sleeps->wait_for(1ms).error().code == ErrorCode::timed_out);
  REQUIRE(sleeps->signal(SIGTERM));
  CHECK(sleeps->wait().value().signal == SIGTERM);
}

TEST_CASE("the environment is exactly what was given, the program may be missing") {
  test::TemporaryFolder folder;
  const UniqueFd out(::open((folder / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  auto child = ChildProcess::start(
      {.argv = {"/usr/bin/env"}, .environment = {"ONLY=this"}, .stdout_fd = out.get()});
  REQUIRE(child);
  REQUIRE(child->wait());
  CHECK(folder.read("out") == "ONLY=this\n");
  const auto missing = ChildProcess::start({.argv = {"/nonexistent/program"}});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("/nonexistent/program") != std::string::npos);
}

TEST_CASE("dropping the handle ends the child and its group") {
  test::TemporaryFolder folder;
  pid_t pid = -1;
  {
    auto child = ChildProcess::start({.argv = {"/bin/sh", "-c", "sleep 100 & sleep 100"}});
    REQUIRE(child);
    pid = child->pid();
  }
  CHECK(::kill(pid, 0) != 0);
}
