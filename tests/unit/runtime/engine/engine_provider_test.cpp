// The provider on the scheduler on a real engine: a random model, whose every call must be in form.
#include <optional>

#include <catch2/catch.hpp>

#include "runtime/engine/models.h"
#include "tests/support/babbling_checkpoint.h"
#include "tests/support/temporary_folder.h"
#include "tools/tools.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::runtime;

namespace {

EngineModelOptions options(bool thinking) {
  return {.name = "babble",
          .texts = {.tools_head = "Tools:\n", .tools_tail = "\nEnd.\n"},
          .thinking = thinking};
}

const std::vector<OfferedTool>& offered() {
  static const std::vector<OfferedTool> tools = {
      {"find", "Find",
       Json::parse(
           R"({"type":"object","properties":{"text":{"type":"string","minLength":1,"maxLength":12},"n":{"type":"integer","minimum":1,"maximum":500}},"required":["text"]})")},
      {"list", "List",
       Json::parse(
           R"({"type":"object","properties":{"deep":{"type":"boolean"},"tags":{"type":"array","items":{"enum":["a","b","cd"]},"maxItems":3}}})")}};
  return tools;
}

/// One session's conversation: steps with recorded tool results.
struct Play {
  Play(const std::shared_ptr<const EngineModel>& shared, asio::thread_pool& workers, uint64_t s)
      : provider(make_engine_provider(shared, workers)), seed(s) {
    messages.push_back({.role = Role::system, .text = "Babble."});
    messages.push_back({.role = Role::user, .text = "Task " + std::to_string(s)});
  }

  std::unique_ptr<Provider> provider;
  uint64_t seed;
  std::vector<Message> messages;
  std::vector<Reply> replies;
  std::string streamed;
};

asio::awaitable<void> step(Play& play) {
  StepRequest request{.messages = play.messages, .tools = offered()};
  request.sampling.seed = play.seed;
  request.sampling.output_tokens_max = 150;
  play.streamed.clear();
  DeltaSink sink = [&play](const Delta& delta) {
    if (const auto* text = std::get_if<TextDelta>(&delta)) play.streamed += text->text;
  };
  auto working = play.provider->complete(std::move(request), std::move(sink));
  auto reply = co_await std::move(working);
  INFO((reply ? "" : reply.error().message));
  REQUIRE(reply);
  CHECK(play.streamed == reply->text);
  Message message{.role = Role::assistant,
                  .text = reply->text,
                  .reasoning = reply->reasoning,
                  .tool_calls = reply->tool_calls,
                  .replay = *parse_json(dump_json(reply->replay))};
  for (size_t i = 0; i < message.tool_calls.size(); ++i) {
    message.tool_calls[i].id = std::to_string(play.messages.size()) + "_" + std::to_string(i);
  }
  const auto calls = message.tool_calls;
  play.messages.push_back(std::move(message));
  for (const auto& call : calls) {
    play.messages.push_back(
        {.role = Role::tool, .text = "result of " + call.name, .tool_call_id = call.id});
  }
  if (calls.empty()) play.messages.push_back({.role = Role::user, .text = "go on"});
  play.replies.push_back(std::move(*reply));
}

asio::awaitable<void> steps(Play& play, int n) {
  for (int i = 0; i < n; ++i) co_await step(play);
}

void play_all(std::vector<Play*> plays, int n_steps) {
  asio::io_context context;
  for (Play* play : plays)
    asio::co_spawn(context, steps(*play, n_steps),
                   [](const std::exception_ptr& failure) { CHECK_FALSE(failure); });
  context.run();
}

std::vector<Json> tokens_of(const Play& play) {
  std::vector<Json> tokens;
  for (const auto& reply : play.replies) tokens.push_back(reply.replay["tokens"]);
  return tokens;
}

}  // namespace

namespace {

/// Sessions with random replies, in both modes; every call must be in form and fit its schema.
void check_calls(uint64_t n_seeds, int n_steps, int n_calls_min) {
  asio::thread_pool workers(2);
  int n_calls = 0;
  for (const bool thinking : {false, true}) {
    Models models;
    const auto shared = models.open(test::babbling_model(), options(thinking));
    REQUIRE(shared);
    for (uint64_t seed = 0; seed < n_seeds; ++seed) {
      Play play(*shared, workers, seed);
      play_all({&play}, n_steps);
      for (const auto& reply : play.replies) {
        if (reply.finish == FinishReason::stop) CHECK(reply.tool_calls.empty());
        if (reply.finish == FinishReason::tool_calls) CHECK_FALSE(reply.tool_calls.empty());
        for (const auto& call : reply.tool_calls) {
          ++n_calls;
          CHECK(call.problem.empty());
          const auto tool = std::find_if(offered().begin(), offered().end(),
                                         [&](const auto& t) { return t.name == call.name; });
          REQUIRE(tool != offered().end());
          const auto arguments = parse_json(call.arguments);
          REQUIRE(arguments);
          CHECK(tools::Schema::compile(tool->parameters)->check(*arguments).empty());
        }
      }
    }
  }
  INFO("calls: " << n_calls);
  CHECK(n_calls >= n_calls_min);
}

}  // namespace

TEST_CASE("a random model's calls are all in form and fit their schemas, at temperature 1") {
  check_calls(3, 2, 1);
}

TEST_CASE("many random replies at temperature 1: no call is malformed", "[slow]") {
  check_calls(60, 3, 100);
}

TEST_CASE("the next step computes only what is new") {
  asio::thread_pool workers(2);
  Models models;
  const auto shared = models.open(test::babbling_model(), options(false));
  REQUIRE(shared);
  Play play(*shared, workers, 1);
  play_all({&play}, 3);
  for (size_t i = 1; i < play.replies.size(); ++i) {
    const auto& before = play.replies[i - 1].usage;
    // All but the tokens whose state the engine cannot keep between its rewind points.
    CHECK(play.replies[i].usage.cached_tokens + 1 >= before.input_tokens);
    CHECK(play.replies[i].usage.cached_tokens <= before.input_tokens + before.output_tokens);
    CHECK(play.replies[i].usage.input_tokens > before.input_tokens + before.output_tokens - 1);
  }
}

TEST_CASE("tokens are the same alone, among eight, and when another process goes on from the log") {
  asio::thread_pool workers(2);
  constexpr int kSteps = 2;
  std::vector<std::vector<Json>> alone;
  std::vector<std::vector<Message>> conversations;
  {
    Models models;
    const auto shared = models.open(test::babbling_model(), options(false));
    REQUIRE(shared);
    for (uint64_t seed = 0; seed < 8; ++seed) {
      Play play(*shared, workers, seed);
      play_all({&play}, kSteps);
      alone.push_back(tokens_of(play));
      conversations.push_back(play.messages);
    }
  }
  {
    Models models;
    const auto shared = models.open(test::babbling_model(), options(false));
    REQUIRE(shared);
    std::vector<std::unique_ptr<Play>> plays;
    std::vector<Play*> all;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      plays.push_back(std::make_unique<Play>(*shared, workers, seed));
      all.push_back(plays.back().get());
    }
    play_all(all, kSteps);
    for (size_t i = 0; i < 8; ++i) CHECK(tokens_of(*plays[i]) == alone[i]);
  }
  // Stopped before each step, and taken up from the messages alone.
  Models models;
  const auto shared = models.open(test::babbling_model(), options(false));
  REQUIRE(shared);
  for (size_t i = 0; i < 2; ++i) {
    size_t n_steps = 0;
    for (size_t n = 0; n < conversations[i].size(); ++n) {
      if (conversations[i][n].role != Role::assistant) continue;
      Play again(*shared, workers, i);
      again.messages.assign(conversations[i].begin(),
                            conversations[i].begin() + static_cast<long>(n));
      play_all({&again}, 1);
      CHECK(tokens_of(again).front() == alone[i][n_steps++]);
    }
    CHECK(n_steps == kSteps);
  }
}

TEST_CASE("a model is opened once, and one that is missing says so") {
  Models models;
  const auto first = models.open(test::babbling_model(), options(true));
  const auto second = models.open(test::babbling_model() / "config.json" / "..", options(true));
  REQUIRE(first);
  CHECK((second ? *second == *first : second.error().code == ErrorCode::not_found));
  const auto missing = models.open(test::babbling_model() / "nothing", options(true));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::not_found);
}
