#include "agent/openai/chat_reply.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;
using namespace sable::agent;

namespace {
const DeltaSink kIgnore = [](const Delta&) {};
}

TEST_CASE("chunks become text, reasoning, calls and usage, and deltas in order") {
  ChatReplyBuilder builder;
  std::string shown;
  const DeltaSink show = [&](const Delta& delta) {
    if (const auto* text = std::get_if<TextDelta>(&delta)) shown += "t:" + text->text + ";";
    if (const auto* text = std::get_if<ReasoningDelta>(&delta)) shown += "r:" + text->text + ";";
    if (const auto* call = std::get_if<CallDelta>(&delta)) {
      shown += "c" + std::to_string(call->index) + ":" + call->name + call->arguments + ";";
    }
  };
  for (
      const char* chunk :
      {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})",
       R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})",
       R"({"choices":[{"delta":{"content":"I "}}]})",
       R"({"choices":[{"delta":{"content":"look."}}]})",
       R"({"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"ls","arguments":""}}]}}]})",
       R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"cat","arguments":"{\"p\""}}]}}]})",
       R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]})",
       R"({"choices":[{"delta":{},"finish_reason":"tool_calls"}]})",
       R"({"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":7}}})",
       "[DONE]", "ignored after the end"}) {
    REQUIRE(builder.take(chunk, show));
  }
  const auto reply = builder.finish();
  REQUIRE(reply);
  CHECK(reply->text == "I look.");
  CHECK(reply->reasoning == "hm");
  CHECK(reply->tool_calls ==
        std::vector<RequestedCall>{{"a", "cat", R"({"p":1})"}, {"b", "ls", "{}"}});
  CHECK(reply->finish == FinishReason::tool_calls);
  CHECK(reply->usage.input_tokens == 11);
  CHECK(reply->usage.cached_tokens == 7);
  CHECK(reply->usage.output_tokens == 5);
  CHECK(shown == "r:hm;t:I ;t:look.;c1:ls;c0:cat{\"p\";c0::1};");
}

TEST_CASE("a stream that ends before the model did is no reply") {
  ChatReplyBuilder builder;
  REQUIRE(builder.take(R"({"choices":[{"delta":{"content":"half"}}]})", kIgnore));
  const auto reply = builder.finish();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == ErrorCode::corrupt);
  CHECK(reply.error().message.find("broke off") != std::string::npos);
}

TEST_CASE("an error in the stream is the endpoint's sentence") {
  ChatReplyBuilder builder;
  const auto taken = builder.take(R"({"error":{"message":"out of\u001b[31m memory"}})", kIgnore);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message == "the endpoint broke off: out of\\x1b[31m memory");
}

TEST_CASE("an answer that was not streamed is taken whole") {
  ChatReplyBuilder builder;
  REQUIRE(builder.take_whole(
      R"({"choices":[{"message":{"content":"Hi","tool_calls":[{"id":"x","function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})",
      kIgnore));
  const auto reply = builder.finish();
  REQUIRE(reply);
  CHECK(reply->text == "Hi");
  CHECK(reply->tool_calls == std::vector<RequestedCall>{{"x", "f", R"({"a":1})"}});
  CHECK(reply->finish == FinishReason::tool_calls);
}

TEST_CASE("chunks that are not chunks are refused, and no bytes crash the builder") {
  for (const char* bad :
       {"nonsense", "[]", R"({"choices":[1]})", R"({"choices":[{"delta":{"tool_calls":[3]}}]})",
        R"({"choices":[{"delta":{"tool_calls":[{"index":999999}]}}]})"}) {
    INFO(bad);
    CHECK_FALSE(ChatReplyBuilder().take(bad, kIgnore));
  }
  rc::prop("any bytes", [](const std::string& bytes) {
    ChatReplyBuilder builder;
    (void)builder.take(bytes, kIgnore);
    (void)builder.take_whole(bytes, kIgnore);
    (void)builder.finish();
  });
}
