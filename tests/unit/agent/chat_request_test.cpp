#include "agent/openai/chat_request.h"

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::agent;

TEST_CASE("a step's request is a Chat Completions body") {
  StepRequest request;
  request.messages = {{.role = Role::system, .text = "S"},
                      {.role = Role::user, .text = "U"},
                      {.role = Role::assistant,
                       .text = "",
                       .reasoning = "R",
                       .tool_calls = {{"c1", "ls", R"({"p":"."})"}, {"c2", "ls", "{broken"}}},
                      {.role = Role::tool, .text = "a.c", .tool_call_id = "c1"}};
  request.tools = {{"ls", "Lists.", Json{{"type", "object"}}}};
  request.sampling = {.temperature = 0.5, .seed = 7, .output_tokens_max = 100};
  CHECK(
      dump_json(chat_request(request, "m")) ==
      R"({"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"U"},)"
      R"({"role":"assistant","content":"","reasoning_content":"R","tool_calls":[)"
      R"({"id":"c1","type":"function","function":{"name":"ls","arguments":"{\"p\":\".\"}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"ls","arguments":"{\"invalid_arguments\":\"{broken\"}"}}]},)"
      R"({"role":"tool","content":"a.c","tool_call_id":"c1"}],)"
      R"("tools":[{"type":"function","function":{"name":"ls","description":"Lists.","parameters":{"type":"object"}}}],)"
      R"("stream":true,"stream_options":{"include_usage":true},"max_tokens":100,"temperature":0.5,"seed":7})");
}
