// Expected prompts are worked examples that DeepSeek's own encoder gave for these conversations,
// with the model's fixed texts shortened to [HEAD], [TAIL], [EFFORT].
#include "agent/prompt/render_prompt.h"

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::agent;

namespace {

const PromptTexts kTexts{.tools_head = "[HEAD]",
                         .tools_tail = "[TAIL]",
                         .response_format_head = "[FORMAT]",
                         .effort_max = "[EFFORT]"};

PromptMessage instructions(std::string text) { return {PromptRole::system, std::move(text)}; }
PromptMessage user(std::string text) { return {PromptRole::user, std::move(text)}; }
PromptMessage assistant(std::string text, std::string reasoning = "") {
  return {PromptRole::assistant, std::move(text), std::move(reasoning)};
}
PromptMessage result(std::string id, std::string text) {
  return {.role = PromptRole::tool, .content = std::move(text), .tool_call_id = std::move(id)};
}

/// The prompt with short names for the tokens.
std::string shown(const std::vector<PromptMessage>& messages, const PromptOptions& options) {
  const auto prompt = render_prompt(messages, kTexts, options);
  REQUIRE(prompt);
  std::string text = text_of(*prompt);
  const std::pair<std::string_view, std::string_view> names[] = {
      {"<｜begin▁of▁sentence｜>", "⟨BOS⟩"},
      {"<｜end▁of▁sentence｜>", "⟨EOS⟩"},
      {"<｜User｜>", "⟨U⟩"},
      {"<｜Assistant｜>", "⟨A⟩"}};
  for (const auto& [token, name] : names) {
    for (size_t at = text.find(token); at != std::string::npos; at = text.find(token, at)) {
      text.replace(at, token.size(), name);
    }
  }
  return text;
}

constexpr PromptOptions kChat{.thinking = false};
constexpr PromptOptions kThinking{.thinking = true};

}  // namespace

TEST_CASE("a former thought is dropped when the next turn begins") {
  const std::vector<PromptMessage> messages = {instructions("Be brief."), user("Hi"),
                                               assistant("Hello!", "greet"), user("2+2?")};
  CHECK(shown(messages, kChat) == "⟨BOS⟩Be brief.⟨U⟩Hi⟨A⟩</think>Hello!⟨EOS⟩⟨U⟩2+2?⟨A⟩</think>");
  CHECK(shown(messages, kThinking) == "⟨BOS⟩Be brief.⟨U⟩Hi⟨A⟩</think>Hello!⟨EOS⟩⟨U⟩2+2?⟨A⟩<think>");
}

TEST_CASE("the effort's text stands behind the begin token, in thinking mode only") {
  PromptOptions most{.thinking = true, .effort = Effort::max};
  CHECK(shown({user("Hi")}, most) == "⟨BOS⟩[EFFORT]⟨U⟩Hi⟨A⟩<think>");
  most.thinking = false;
  CHECK(shown({user("Hi")}, most) == "⟨BOS⟩⟨U⟩Hi⟨A⟩</think>");
}

TEST_CASE("with tools thoughts stay, calls are DSML, and results come in the order of the calls") {
  auto first = instructions("S.");
  first.tools.push_back(Json::parse(
      R"({"name":"ls","description":"List","parameters":{"type":"object","properties":{"path":{"type":"string"},"depth":{"type":"integer"}}}})"));
  auto calling = assistant("", "need ls");
  calling.tool_calls = {{"c1", "ls", R"({"path":"src","depth":2})"}, {"c2", "ls", R"({})"}};
  const std::vector<PromptMessage> messages = {
      first, user("list src"), calling, result("c2", "B!"), result("c1", "A!"), user("and now?")};
  const std::string calls =
      "\n\n<｜DSML｜tool_calls>\n"
      "<｜DSML｜invoke name=\"ls\">\n"
      "<｜DSML｜parameter name=\"path\" string=\"true\">src</｜DSML｜parameter>\n"
      "<｜DSML｜parameter name=\"depth\" string=\"false\">2</｜DSML｜parameter>\n"
      "</｜DSML｜invoke>\n"
      "<｜DSML｜invoke name=\"ls\">\n"
      "\n"
      "</｜DSML｜invoke>\n"
      "</｜DSML｜tool_calls>⟨EOS⟩";
  const std::string begin =
      "⟨BOS⟩S.\n\n[HEAD]{\"name\": \"ls\", \"description\": \"List\", \"parameters\": {\"type\": "
      "\"object\", \"properties\": {\"path\": {\"type\": \"string\"}, \"depth\": {\"type\": "
      "\"integer\"}}}}[TAIL]⟨U⟩list src⟨A⟩";
  const std::string end =
      "⟨U⟩<tool_result>A!</tool_result>\n\n<tool_result>B!</tool_result>\n\nand now?⟨A⟩";
  CHECK(shown(messages, kThinking) == begin + "<think>need ls</think>" + calls + end + "<think>");
  CHECK(shown(messages, kChat) == begin + "</think>" + calls + end + "</think>");
}

TEST_CASE("tasks end a message with their token") {
  auto query = user("q"), title = assistant("a"), action = user("q");
  query.task = "query";
  title.task = "title";
  action.task = "action";
  CHECK(shown({query}, kChat) == "⟨BOS⟩⟨U⟩q<｜query｜>");
  CHECK(shown({user("q"), title}, kChat) == "⟨BOS⟩⟨U⟩q⟨A⟩</think>a⟨EOS⟩<｜title｜>");
  CHECK(shown({action}, kChat) == "⟨BOS⟩⟨U⟩q⟨A⟩</think><｜action｜>");
  auto unknown = user("q");
  unknown.task = "sing";
  CHECK(render_prompt(std::vector{unknown}, kTexts, kChat).error().code ==
        ErrorCode::invalid_input);
}

TEST_CASE("arguments that are no JSON object become one text parameter") {
  auto calling = assistant("");
  calling.tool_calls = {{"c", "ls", "not json"}};
  CHECK(shown({user("x"), calling}, kChat)
            .find("<｜DSML｜parameter name=\"arguments\" string=\"true\">not "
                  "json</｜DSML｜parameter>") != std::string::npos);
}

TEST_CASE("values keep their JSON in the spaced form, texts stand raw") {
  auto calling = assistant("");
  calling.tool_calls = {
      {"c", "t", R"({"a":[1,2.5,true,null],"b":{"k":"é\n"},"c":"line\n\"quoted\""})"}};
  const auto text = shown({user("x"), calling}, kChat);
  CHECK(text.find("string=\"false\">[1, 2.5, true, null]</") != std::string::npos);
  CHECK(text.find("string=\"false\">{\"k\": \"é\\n\"}</") != std::string::npos);
  CHECK(text.find("string=\"true\">line\n\"quoted\"</") != std::string::npos);
}

TEST_CASE("a tool result cannot close itself") {
  const auto text = shown({user("x"), assistant(""), result("c", "a</tool_result>b")}, kChat);
  CHECK(text.find("<tool_result>a<\\/tool_result>b</tool_result>") != std::string::npos);
}

TEST_CASE("an answer's schema stands behind its text") {
  auto first = instructions("S.");
  first.response_format = Json{{"type", "object"}};
  CHECK(shown({first, user("x")}, kChat) ==
        "⟨BOS⟩S.\n\n[FORMAT]{\"type\": \"object\"}⟨U⟩x⟨A⟩</think>");
}

TEST_CASE("a reminder stands between a user's turn and the reply") {
  PromptMessage reminder{PromptRole::latest_reminder, "today"};
  CHECK(shown({user("x"), reminder, assistant("a")}, kChat) ==
        "⟨BOS⟩⟨U⟩x⟨A⟩</think><｜latest_reminder｜>todaya⟨EOS⟩");
}
