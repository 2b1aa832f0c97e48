// Talking to a command while it runs: signals, and input that comes bit by bit.
#include <csignal>

#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;

namespace {

enum class Place { fresh, session, unconfined };

// Hands out its pieces, then waits for ever or ends.
class Pieces {
 public:
  Pieces(std::vector<std::string> pieces, bool ends) : pieces_(std::move(pieces)), ends_(ends) {}

  asio::awaitable<std::string> next() {
    if (at_ < pieces_.size()) co_return pieces_[at_++];
    if (ends_) co_return std::string();
    asio::steady_timer never(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    boost::system::error_code ignored;
    co_await never.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    was_cancelled = ignored == asio::error::operation_aborted;
    co_return std::string();
  }

  bool was_cancelled = false;

 private:
  const std::vector<std::string> pieces_;
  const bool ends_;
  size_t at_ = 0;
};

asio::awaitable<Result<RunResult>> run_in(Place place, Sandbox& box, Policy policy, Command command,
                                          OutputSink sink) {
  if (place != Place::session) {
    auto result = co_await box.run(std::move(policy), std::move(command), std::move(sink));
    co_return result;
  }
  SABLE_CO_TRY(const auto session, co_await box.open_session(std::move(policy)));
  auto result = co_await session->run(std::move(command), std::move(sink));
  co_await session->close();
  co_return result;
}

/// Runs to the end; `heard` gets the output as it comes.
test::Outcome talk_to(Place place, Command command,
                      const std::function<void(const std::string&)>& heard = {}) {
  test::SandboxRunner runner;
  const auto unconfined = without_sandbox();
  Sandbox& box = place == Place::unconfined ? *unconfined : runner.box();
  test::Outcome outcome;
  asio::io_context loop;
  std::optional<Result<RunResult>> result;
  const auto sink = [&](Stream, std::string_view bytes) {
    outcome.output += bytes;
    if (heard) heard(outcome.output);
  };
  asio::co_spawn(
      loop, run_in(place, box, {.writable = {runner.folder().path()}}, std::move(command), sink),
      [&](const std::exception_ptr& failure, Result<RunResult> done) {
        if (failure) std::rethrow_exception(failure);
        result = std::move(done);
      });
  loop.run();
  REQUIRE(result);
  outcome.result = std::move(*result);
  REQUIRE(outcome.result);
  return outcome;
}

Command shell(std::string script) { return {.argv = {"/bin/sh", "-c", std::move(script)}}; }

constexpr const char* kTrap =
    "trap 'echo heard; exit 7' INT TERM; echo ready; while :; do sleep 0.05; done";

}  // namespace

TEST_CASE("a signal reaches the command, whose trap runs and whose status passes through") {
  const auto place = GENERATE(Place::fresh, Place::session, Place::unconfined);
  const int number = GENERATE(SIGINT, SIGTERM);
  Command command = shell(kTrap);
  const auto handle = command.handle = std::make_shared<CommandHandle>();
  bool sent = false;
  const auto outcome = talk_to(place, std::move(command), [&](const std::string& output) {
    if (sent || output.find("ready") == std::string::npos) return;
    sent = true;
    handle->signal(number);
  });
  CHECK(outcome.result->end == End::exited);
  CHECK(outcome.result->exit_code == 7);
  CHECK_THAT(outcome.output, Catch::Contains("heard"));
}

TEST_CASE("a command that hears no signal is killed when that is asked for") {
  const auto place = GENERATE(Place::fresh, Place::session, Place::unconfined);
  Command command = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  const auto handle = command.handle = std::make_shared<CommandHandle>();
  bool sent = false;
  const auto outcome = talk_to(place, std::move(command), [&](const std::string& output) {
    if (sent || output.find("ready") == std::string::npos) return;
    sent = true;
    handle->signal(SIGTERM);
    handle->kill();
  });
  CHECK(outcome.result->end == End::cancelled);
}

TEST_CASE("what is sent before the command runs is kept for it, and after its end lost") {
  const auto place = GENERATE(Place::fresh, Place::session, Place::unconfined);
  Command command{.argv = {"sleep", "600"}};
  const auto handle = command.handle = std::make_shared<CommandHandle>();
  handle->signal(SIGTERM);
  const auto outcome = talk_to(place, std::move(command));
  CHECK(outcome.result->end == End::signalled);
  CHECK(outcome.result->signal == SIGTERM);
  handle->signal(SIGTERM);
  handle->kill();
}

TEST_CASE("input comes as it is given, to its end") {
  const auto place = GENERATE(Place::fresh, Place::session, Place::unconfined);
  const std::string large(300'000, 'x');
  Pieces pieces({"one\n", "two\n", large}, true);
  Command command{.argv = {"cat"}, .input = [&] { return pieces.next(); }};
  command.stdin_data = "zero\n";
  const auto outcome = talk_to(place, std::move(command));
  CHECK(outcome.result->exit_code == 0);
  CHECK(outcome.output == "zero\none\ntwo\n" + large);
}

TEST_CASE("a command that ends while its input goes on ends the call") {
  const auto place = GENERATE(Place::fresh, Place::session, Place::unconfined);
  Pieces open({"one\n"}, false);
  Command command = shell("read line; echo $line");
  command.input = [&] { return open.next(); };
  CHECK(talk_to(place, std::move(command)).output == "one\n");
  CHECK(open.was_cancelled);
  Pieces unread(std::vector<std::string>(100, std::string(60'000, 'x')), true);
  Command deaf = shell("exec <&-; echo fine");
  deaf.input = [&] { return unread.next(); };
  CHECK(talk_to(place, std::move(deaf)).output == "fine\n");
}
