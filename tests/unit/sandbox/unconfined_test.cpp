// The opt-out: commands run as they are, and what can be kept of a call is kept.
#include <catch2/catch.hpp>

#include "sandbox/sandbox.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using namespace std::chrono_literals;

namespace {

struct Ran {
  Result<RunResult> result = fail(ErrorCode::io, "not run");
  std::string output, errors;
};

Ran run_unconfined(const test::TemporaryFolder& folder, const std::string& script,
                   Limits limits = {}, std::string input = {},
                   FileEffects files = FileEffects::direct) {
  const auto box = without_sandbox();
  Ran ran;
  asio::io_context loop;
  const auto sink = [&](Stream stream, std::string_view bytes) {
    (stream == Stream::standard_output ? ran.output : ran.errors) += bytes;
  };
  asio::co_spawn(
      loop,
      box->run({.writable = {folder.path()}, .files = files, .limits = limits},
               {.argv = {"/bin/sh", "-c", script}, .stdin_data = std::move(input)}, sink),
      [&](const std::exception_ptr& failure, Result<RunResult> result) {
        if (failure) std::rethrow_exception(failure);
        ran.result = std::move(result);
      });
  loop.run();
  return ran;
}

}  // namespace

TEST_CASE("without a sandbox a command runs where it is told, with its input and its status") {
  const test::TemporaryFolder folder, outside;
  const auto ran = run_unconfined(
      folder, "pwd; cat; echo oops >&2; echo x > " + (outside / "made").string() + "; exit 3", {},
      "given\n");
  REQUIRE(ran.result);
  CHECK(ran.result->end == End::exited);
  CHECK(ran.result->exit_code == 3);
  CHECK(ran.output == folder.path().string() + "\ngiven\n");
  CHECK(ran.errors == "oops\n");
  CHECK(std::filesystem::exists(outside / "made"));
}

TEST_CASE(
    "without a sandbox the environment is still the policy's, and new hooks are still named") {
  const test::TemporaryFolder folder;
  folder.write(".git/config", "");
  const auto ran =
      run_unconfined(folder, "mkdir -p .git/hooks; env | sort | cut -d= -f1 | tr '\\n' ' '");
  REQUIRE(ran.result);
  CHECK(ran.output.find("SABLE") == std::string::npos);
  CHECK(ran.output.find("HOME") != std::string::npos);
  const std::vector<std::filesystem::path> expected = {folder / ".git/hooks"};
  CHECK(ran.result->protected_changes == expected);
}

TEST_CASE("without a sandbox nothing runs whose changes are to be kept apart") {
  const test::TemporaryFolder folder;
  const auto ran = run_unconfined(folder, "echo x > made", {}, {}, FileEffects::transaction);
  REQUIRE_FALSE(ran.result);
  CHECK(ran.result.error().code == ErrorCode::unsupported);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("without a sandbox time and output are still bounded") {
  const test::TemporaryFolder folder;
  const auto late =
      run_unconfined(folder, "trap '' TERM; sleep 60 & sleep 60", {.wall = 200ms, .grace = 100ms});
  REQUIRE(late.result);
  CHECK(late.result->end == End::deadline);
  CHECK(late.result->wall < 20s);
  const auto loud = run_unconfined(folder, "yes", {.output_bytes = 10'000});
  REQUIRE(loud.result);
  CHECK(loud.result->end == End::output_limit);
  CHECK(loud.output.size() == 10'000);
}

TEST_CASE("without a sandbox a session runs commands, and none in the background") {
  const test::TemporaryFolder folder;
  const auto box = without_sandbox();
  asio::io_context loop;
  std::unique_ptr<Session> session;
  asio::co_spawn(loop, box->open_session({.writable = {folder.path()}}),
                 [&](const std::exception_ptr&, Result<std::unique_ptr<Session>> opened) {
                   REQUIRE(opened);
                   session = std::move(*opened);
                 });
  loop.run();
  loop.restart();
  int exit_code = -1;
  ErrorCode refused = ErrorCode::io;
  asio::co_spawn(loop, session->run({.argv = {"/bin/sh", "-c", "exit 4"}}, {}),
                 [&](const std::exception_ptr&, Result<RunResult> result) {
                   REQUIRE(result);
                   exit_code = result->exit_code;
                 });
  asio::co_spawn(loop, session->start({.argv = {"true"}}, {}),
                 [&](const std::exception_ptr&, Result<std::shared_ptr<Process>> started) {
                   REQUIRE_FALSE(started);
                   refused = started.error().code;
                 });
  loop.run();
  CHECK(exit_code == 4);
  CHECK(refused == ErrorCode::unsupported);
}
