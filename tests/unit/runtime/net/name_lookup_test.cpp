#include "runtime/net/name_lookup.h"

#include <future>
#include <optional>

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::runtime;
using namespace std::chrono_literals;

namespace {

/// A resolver that answers only when the test lets it.
struct SilentResolver {
  std::promise<void> let_go;
  std::shared_future<void> gone = let_go.get_future().share();

  BlockingLookup lookup() const {
    return [gone = gone](const std::string&, uint16_t port) -> Result<Endpoints> {
      gone.wait();
      return Endpoints{{asio::ip::address_v4::loopback(), port}};
    };
  }
};

struct Lookup {
  std::optional<Result<Endpoints>> result;
};

void start(asio::io_context& loop, asio::awaitable<Result<Endpoints>> work, Lookup& outcome,
           asio::cancellation_signal& cancel) {
  asio::co_spawn(
      loop, std::move(work),
      asio::bind_cancellation_slot(
          cancel.slot(), [&outcome](const std::exception_ptr& failure, Result<Endpoints> found) {
            if (!failure) outcome.result = std::move(found);
          }));
}

}  // namespace

TEST_CASE("a name becomes addresses with the port") {
  asio::io_context loop;
  asio::cancellation_signal cancel;
  Lookup outcome;
  start(loop, look_up("localhost", 8080, 5s), outcome, cancel);
  loop.run();
  REQUIRE(outcome.result);
  REQUIRE(*outcome.result);
  for (const auto& endpoint : **outcome.result) {
    CHECK(endpoint.address().is_loopback());
    CHECK(endpoint.port() == 8080);
  }
}

TEST_CASE("a resolver that does not answer is left at the limit, and the loop ends") {
  const SilentResolver resolver;
  asio::io_context loop;
  asio::cancellation_signal cancel;
  Lookup outcome;
  start(loop, look_up("example.invalid", 1, 20ms, resolver.lookup()), outcome, cancel);
  loop.run();
  REQUIRE(outcome.result);
  REQUIRE_FALSE(*outcome.result);
  CHECK(outcome.result->error().code == ErrorCode::timed_out);
}

TEST_CASE("a lookup that is cancelled, or whose loop goes, holds nobody up") {
  SilentResolver resolver;
  Lookup outcome;
  asio::cancellation_signal cancel;
  {
    asio::io_context loop;
    start(loop, look_up("example.invalid", 1, 1h, resolver.lookup()), outcome, cancel);
    loop.poll();
    cancel.emit(asio::cancellation_type::terminal);
    loop.run();
  }
  CHECK((!outcome.result || outcome.result->error().code == ErrorCode::cancelled));
  {
    asio::io_context loop;
    start(loop, look_up("example.invalid", 1, 1h, resolver.lookup()), outcome, cancel);
    loop.poll();
  }
  // The answers come when nobody waits any more.
  resolver.let_go.set_value();
}

TEST_CASE("lookups without an answer do not pile up for ever") {
  SilentResolver resolver;
  asio::io_context loop;
  asio::cancellation_signal cancel;
  std::vector<Lookup> outcomes(80);
  for (auto& outcome : outcomes) {
    asio::co_spawn(loop, look_up("example.invalid", 1, 30ms, resolver.lookup()),
                   [&outcome](const std::exception_ptr&, Result<Endpoints> found) {
                     outcome.result = std::move(found);
                   });
  }
  loop.run();
  const auto refused = std::count_if(outcomes.begin(), outcomes.end(), [](const Lookup& outcome) {
    return outcome.result->error().code == ErrorCode::exhausted;
  });
  CHECK(refused >= 16);
  resolver.let_go.set_value();
}
