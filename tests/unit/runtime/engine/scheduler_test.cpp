#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <optional>

#include <catch2/catch.hpp>

#include "base/task_group.h"
#include "tests/support/babbling_checkpoint.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::runtime;
using inference::TokenId;

using sable::test::run;

namespace {

inference::EngineOptions options() { return {.n_threads = 2}; }

std::vector<TokenId> prompt(size_t n, int salt) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < n; ++i)
    ids.push_back(
        static_cast<TokenId>((i * 37 + i / 7 + static_cast<size_t>(salt) * 11) % 250 + 3));
  return ids;
}

TokenRequest request(std::vector<TokenId> ids, uint64_t n, uint64_t seed) {
  TokenRequest r;
  r.prompt = std::move(ids);
  r.n_tokens_max = n;
  r.sampling.seed = seed;
  return r;
}

/// What the engine itself gives, without any scheduler.
std::vector<TokenId> expected(const std::vector<TokenId>& ids, uint64_t n, uint64_t seed) {
  static const auto engine = inference::Engine::open(test::babbling_model(), options());
  REQUIRE(engine);
  const auto sequence = (*engine)->start();
  REQUIRE(sequence->append(ids));
  inference::Sampler sampler;
  inference::Sequence* const stepped[] = {sequence.get()};
  std::vector<TokenId> tokens;
  while (tokens.size() < n) {
    while (sequence->n_waiting() > 0) REQUIRE((*engine)->step(stepped));
    const auto picked = sampler.sample(
        {.seed = seed}, {.logits = sequence->logits(), .position = sequence->position()});
    REQUIRE(picked);
    if (picked->id == 1) break;
    tokens.push_back(picked->id);
    REQUIRE(sequence->append({{picked->id}}));
  }
  return tokens;
}

asio::awaitable<Result<TokenReply>> generate(TokenSequence& sequence, TokenRequest r) {
  std::vector<TokenId> streamed;
  TokenSink sink = [&](std::span<const TokenId> tokens) {
    streamed.insert(streamed.end(), tokens.begin(), tokens.end());
  };
  auto working = sequence.generate(std::move(r), std::move(sink));
  auto reply = co_await std::move(working);
  if (reply) CHECK(streamed == reply->tokens);
  co_return reply;
}

asio::awaitable<void> generate_into(TokenSequence& sequence, TokenRequest r,
                                    Result<TokenReply>& out) {
  auto working = generate(sequence, std::move(r));
  out = co_await std::move(working);
}

}  // namespace

TEST_CASE("a stream's tokens are those of the engine alone, whatever else it decodes") {
  const auto scheduler = Scheduler::open(test::babbling_model(), options());
  REQUIRE(scheduler);
  constexpr size_t kStreams = 8;
  std::vector<std::unique_ptr<TokenSequence>> streams;
  std::vector<Result<TokenReply>> replies(kStreams, fail(ErrorCode::cancelled, "not run"));
  asio::io_context context;
  for (size_t i = 0; i < kStreams; ++i) streams.push_back((*scheduler)->start());
  for (size_t i = 0; i < kStreams; ++i) {
    auto working = generate_into(
        *streams[i], request(prompt(5 + 40 * i, static_cast<int>(i)), 12, i), replies[i]);
    asio::co_spawn(context, std::move(working),
                   [](const std::exception_ptr& failure) { CHECK_FALSE(failure); });
  }
  context.run();
  for (size_t i = 0; i < kStreams; ++i) {
    REQUIRE(replies[i]);
    CHECK(replies[i]->tokens == expected(prompt(5 + 40 * i, static_cast<int>(i)), 12, i));
    CHECK(replies[i]->n_cached == 0);
  }
}

TEST_CASE("the next request keeps what it shares with the stream, and gives the same tokens") {
  const auto scheduler = Scheduler::open(test::babbling_model(), options());
  REQUIRE(scheduler);
  const auto stream = (*scheduler)->start();
  auto ids = prompt(150, 1);
  const auto first = run(generate(*stream, request(ids, 10, 3)));
  REQUIRE(first);
  ids.insert(ids.end(), first->tokens.begin(), first->tokens.end());
  ids.push_back(7);
  const auto second = run(generate(*stream, request(ids, 10, 3)));
  REQUIRE(second);
  CHECK(second->n_cached >= 150);
  CHECK(second->tokens == expected(ids, 10, 3));
  // Another history from an early place on, and the very same one again.
  ids.resize(40);
  for (int i = 0; i < 2; ++i) {
    const auto third = run(generate(*stream, request(ids, 5, 3)));
    REQUIRE(third);
    CHECK(third->tokens == expected(ids, 5, 3));
  }
}

TEST_CASE("a cancelled request stops soon, and the stream can go on") {
  const auto scheduler = Scheduler::open(test::babbling_model(), options());
  REQUIRE(scheduler);
  const auto stream = (*scheduler)->start();
  Result<TokenReply> reply = fail(ErrorCode::io, "not run");
  asio::io_context context;
  TaskGroup group(context.get_executor());
  auto endless = request(prompt(20, 2), 1'000'000, 0);
  endless.end = -1;  // no token ends it
  group.spawn(generate_into(*stream, std::move(endless), reply));
  asio::steady_timer timer(context, std::chrono::milliseconds(10));
  timer.async_wait([&](const boost::system::error_code&) { group.cancel(); });
  context.run();
  run([](TaskGroup& g) -> asio::awaitable<int> {
    co_await g.join();
    co_return 0;
  }(group));
  CHECK_FALSE(reply);
  const auto next = run(generate(*stream, request(prompt(20, 2), 5, 0)));
  REQUIRE(next);
  CHECK(next->tokens == expected(prompt(20, 2), 5, 0));
}

TEST_CASE("requests that cannot be served say why") {
  auto small = options();
  small.context_max = 64;
  const auto scheduler = Scheduler::open(test::babbling_model(), small);
  REQUIRE(scheduler);
  CHECK((*scheduler)->context_max() == 64);
  const auto stream = (*scheduler)->start();
  const auto too_long = run(generate(*stream, request(prompt(64, 1), 5, 0)));
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().code == ErrorCode::exhausted);
  CHECK(too_long.error().message.find("64 tokens") != std::string::npos);
  CHECK_FALSE(run(generate(*stream, request({}, 5, 0))));
  CHECK_FALSE(run(generate(*stream, request({100000}, 5, 0))));
  auto bad = request(prompt(3, 1), 5, 0);
  bad.sampling.top_p = 7;
  CHECK_FALSE(run(generate(*stream, std::move(bad))));
  auto full = request(prompt(50, 1), 1000, 0);
  full.end = -1;  // never ends by itself
  const auto until_full = run(generate(*stream, std::move(full)));
  REQUIRE(until_full);
  CHECK(until_full->end == TokenReply::End::context);
  CHECK(until_full->tokens.size() == 64 - 50);
  CHECK_FALSE(Scheduler::open(test::babbling_model() / "nothing", small));
}

TEST_CASE("when cache memory runs out, streams without a request are forgotten first") {
  auto tight = options();
  const auto measure = Scheduler::open(test::babbling_model(), tight);
  REQUIRE(measure);
  {
    const auto engine = inference::Engine::open(test::babbling_model(), tight);
    REQUIRE(engine);
    const auto sequence = (*engine)->start();
    REQUIRE(sequence->append(prompt(600, 1)));
    inference::Sequence* const stepped[] = {sequence.get()};
    while (sequence->n_waiting() > 0) REQUIRE((*engine)->step(stepped));
    tight.cache_bytes_max = (*engine)->cache_bytes_in_use() * 5 / 2;
  }
  const auto scheduler = Scheduler::open(test::babbling_model(), tight);
  REQUIRE(scheduler);
  std::vector<std::unique_ptr<TokenSequence>> streams;
  for (int i = 0; i < 5; ++i) {
    streams.push_back((*scheduler)->start());
    const auto reply = run(generate(*streams.back(), request(prompt(600, i), 4, 0)));
    REQUIRE(reply);
    CHECK(reply->tokens == expected(prompt(600, i), 4, 0));
  }
  const auto again = run(generate(*streams[0], request(prompt(600, 0), 4, 0)));
  REQUIRE(again);
  CHECK(again->n_cached == 0);
  CHECK(again->tokens == expected(prompt(600, 0), 4, 0));
}
