#include "agent/constraint/reply_mask.h"

#include <catch2/catch.hpp>

#include "agent/constraint/decimal_bound.h"
#include "tests/support/chat_tokenizer.h"

using namespace sable;
using namespace sable::agent;

namespace {

const inference::Tokenizer& tokenizer() {
  static const auto made = test::chat_tokenizer(
      {"\n\n<｜DSML｜tool_calls>\n", "</｜DSML｜parameter>\n", "a fixed phrase"});
  return made;
}

std::shared_ptr<const MaskVocabulary> vocabulary() {
  static const auto made = *MaskVocabulary::create(tokenizer());
  return made;
}

std::shared_ptr<const CallGrammar> grammar(const char* parameters, const char* name = "t") {
  return CallGrammar::compile({{name, "", Json::parse(parameters)}});
}

/// Whether a reply may be this, and ends there.
bool whole(const std::shared_ptr<const CallGrammar>& calls, const std::string& text,
           bool thinking = false, CallChoice choice = CallChoice::free) {
  ReplyMask mask(vocabulary(), calls, thinking, choice);
  const auto ids =
      tokenizer().encode(text + "<｜end▁of▁sentence｜>", inference::AddedTokens::recognise);
  REQUIRE(ids);
  for (const auto id : *ids) {
    std::vector<uint64_t> allowed(vocabulary()->n_words());
    mask.fill_allowed(allowed);
    const auto i = static_cast<size_t>(id);
    const bool bit = (allowed[i / 64] >> i % 64 & 1) != 0;
    const bool taken = mask.accept(id);
    REQUIRE(bit == taken);
    if (!taken) return false;
  }
  return true;
}

std::string parameter(const std::string& name, const std::string& value, bool text) {
  return "<｜DSML｜parameter name=\"" + name + "\" string=\"" + (text ? "true" : "false") + "\">" +
         value + "</｜DSML｜parameter>\n";
}
std::string call(const std::string& parameters, const std::string& name = "t") {
  return "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"" + name + "\">\n" +
         (parameters.empty() ? "\n" : parameters) + "</｜DSML｜invoke>\n</｜DSML｜tool_calls>";
}
/// Whether the one parameter "x" of this schema may have this value.
bool value(const char* schema, const std::string& json, bool text = false) {
  const std::string parameters =
      std::string(R"({"type":"object","required":["x"],"properties":{"x":)") + schema + "}}";
  return whole(grammar(parameters.c_str()), call(parameter("x", json, text)));
}

}  // namespace

TEST_CASE("thoughts and answers are free text, but for markers out of place") {
  const auto calls = grammar("{}");
  CHECK(whole(calls, "anything <b> \n\n<x \xC3\xA9 \xFF"));
  CHECK(whole(calls, ""));
  CHECK(whole(calls, "hm\n\n< </think>", true));
  CHECK_FALSE(whole(calls, "hm", true));  // the thought must end
  CHECK_FALSE(whole(calls, "a</think>"));
  CHECK_FALSE(whole(calls, "a<｜User｜>"));
  CHECK_FALSE(whole(calls, "a<｜DSML｜tool_calls>"));  // not behind a blank line
  CHECK_FALSE(whole(calls, "a\n\n<｜DSML｜x"));
  CHECK_FALSE(whole(calls, "hm" + call("") + "</think>", true));
  CHECK(whole(calls, "a" + call("")));
  CHECK(whole(calls, "\n" + call("")));
}

TEST_CASE("whether a reply calls can be chosen") {
  const auto calls = grammar("{}");
  CHECK_FALSE(whole(calls, call(""), false, CallChoice::none));
  CHECK(whole(calls, "a", false, CallChoice::none));
  CHECK(whole(calls, call(""), false, CallChoice::must));
  CHECK_FALSE(whole(calls, "a" + call(""), false, CallChoice::must));
  CHECK_FALSE(whole(calls, "", false, CallChoice::must));
  CHECK(whole(calls, "t</think>" + call(""), true, CallChoice::must));
  CHECK_FALSE(whole(CallGrammar::compile({}), call("")));
}

TEST_CASE("a call has a known name and its parameters, each once, the required ones all") {
  const auto calls = CallGrammar::compile(
      {{"t", "",
        Json::parse(
            R"({"type":"object","required":["a"],"properties":{"a":{"type":"string"},"b":{"type":"integer"}}})")},
       {"tool", "", Json::object()}});
  const auto a = parameter("a", "x", true), b = parameter("b", "1", false);
  CHECK(whole(calls, call(a)));
  CHECK(whole(calls, call(a + b)));
  CHECK(whole(calls, call(b + a)));
  CHECK_FALSE(whole(calls, call("")));
  CHECK_FALSE(whole(calls, call(b)));
  CHECK_FALSE(whole(calls, call(a + a)));
  CHECK_FALSE(whole(calls, call(a + parameter("c", "1", false))));
  CHECK_FALSE(whole(calls, call(a, "u")));
  CHECK(whole(calls, call("", "tool")));
  CHECK_FALSE(whole(calls, call(parameter("a", "1", false))));
  CHECK_FALSE(whole(calls, call(parameter("b", "1", true))));
  // Several calls in a block, none, and text behind it.
  const std::string second =
      "<｜DSML｜invoke name=\"tool\">\n\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>";
  auto two = call(a);
  two.resize(two.rfind("</"));
  CHECK(whole(calls, two + second));
  CHECK_FALSE(whole(calls, "\n\n<｜DSML｜tool_calls>\n</｜DSML｜tool_calls>"));
  CHECK_FALSE(whole(calls, call(a) + "more"));
}

TEST_CASE("a text may say anything but its closing tag, within its lengths") {
  CHECK(value(R"({"type":"string"})", "", true));
  CHECK(value(R"({"type":"string"})", "a\n\n<b></x \"é\" </", true));
  CHECK_FALSE(value(R"({"type":"string"})", "a<｜DSML｜b", true));
  CHECK_FALSE(value(R"({"type":"string"})", "\xFF", true));
  CHECK_FALSE(value(R"({"type":"string"})", "\xC3", true));
  CHECK_FALSE(value(R"({"type":"string"})", "</think>", true));
  const char* three = R"({"type":"string","minLength":2,"maxLength":3})";
  CHECK_FALSE(value(three, "a", true));
  CHECK(value(three, "aé", true));
  CHECK(value(three, "éé<", true));
  CHECK(value(three, "ab/", true));
  CHECK(value(three, "a</", true));
  CHECK_FALSE(value(three, "ab</", true));
  CHECK_FALSE(value(three, "abcd", true));
  CHECK(value(R"({"enum":["on","one","</x"]})", "one", true));
  CHECK(value(R"({"enum":["on","one","</x"]})", "on", true));
  CHECK(value(R"({"enum":["on","one","</x"]})", "</x", true));
  CHECK_FALSE(value(R"({"enum":["on","one"]})", "o", true));
}

TEST_CASE("a text's exact length leaves a way out at every step") {
  for (const char* text : {"ab<", "<<<", "</<", "a</", "abc"}) {
    CHECK(value(R"({"type":"string","minLength":3,"maxLength":3})", text, true));
  }
  CHECK_FALSE(value(R"({"type":"string","minLength":3,"maxLength":3})", "ab", true));
}

TEST_CASE("numbers keep their bounds") {
  CHECK(value(R"({"type":"integer"})", "-120"));
  CHECK(value(R"({"type":"integer"})", "0"));
  CHECK_FALSE(value(R"({"type":"integer"})", "-0"));
  CHECK_FALSE(value(R"({"type":"integer"})", "007"));
  CHECK_FALSE(value(R"({"type":"integer"})", "1.0"));
  CHECK_FALSE(value(R"({"type":"integer"})", "1234567890123456789"));
  const char* line = R"({"type":"integer","minimum":1,"maximum":1000})";
  for (const char* good : {"1", "10", "999", "1000"}) CHECK(value(line, good));
  for (const char* bad : {"0", "-1", "1001", "2000", ""}) CHECK_FALSE(value(line, bad));
  const char* narrow = R"({"type":"integer","minimum":-15,"exclusiveMaximum":-11})";
  for (const char* good : {"-12", "-15"}) CHECK(value(narrow, good));
  for (const char* bad : {"-11", "-1", "-16", "12", "-2"}) CHECK_FALSE(value(narrow, bad));
  const char* part = R"({"type":"number","exclusiveMinimum":0,"maximum":2.5})";
  for (const char* good : {"0.000001", "2.5", "2.500000", "1", "0.10"}) CHECK(value(part, good));
  for (const char* bad : {"0", "0.0", "2.500001", "3", "-1", "1.", ".5", "0.0000001", "1e0"}) {
    CHECK_FALSE(value(part, bad));
  }
  CHECK(value(R"({"type":"number"})", "-0.5"));
  CHECK_FALSE(value(R"({"type":"number"})", "-0.0"));
  CHECK_FALSE(value(R"({"type":"integer","minimum":5,"maximum":4})", "5"));
}

TEST_CASE("nested values are JSON in the spelling of prompts") {
  const char* list = R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})";
  for (const char* good : {"[1]", "[1, 2, 3]"}) CHECK(value(list, good));
  for (const char* bad : {"[]", "[1,2]", "[1, 2, 3, 4]", "[1, ]", "[1", "1"})
    CHECK_FALSE(value(list, bad));
  const char* object =
      R"({"type":"object","properties":{"a":{"type":"string","maxLength":3},"b":{"type":"boolean"}},"required":["a"]})";
  for (const char* good : {R"({"a": "x\n\u00e9"})", R"({"b": true, "a": ""})"})
    CHECK(value(object, good));
  for (const char* bad : {"{}", R"({"b": true})", R"({"a": "x", "a": "y"})", R"({"a": "abcd"})",
                          R"({"a": "\ud800"})", R"({"a":"x"})", R"({"c": 1, "a": ""})"}) {
    CHECK_FALSE(value(object, bad));
  }
  const char* map = R"({"type":"object","additionalProperties":{"type":"integer"}})";
  for (const char* good : {"{}", R"({"any \" name": 1, "é": 2})"}) CHECK(value(map, good));
  CHECK_FALSE(value(map, R"({"a": "x"})"));
  CHECK(value("{}", R"([null, {"a": [true, -1.5]}, "x"])"));
  CHECK(value("true", "any text", true));
  CHECK(value(R"({"enum":[1, 12, [1, 2], {"a": null}]})", "12"));
  CHECK(value(R"({"enum":[1, 12, [1, 2], {"a": null}]})", R"({"a": null})"));
  CHECK_FALSE(value(R"({"enum":[1, 12]})", "2"));
  const char* first =
      R"({"type":"array","prefixItems":[{"type":"string"}],"items":{"type":"boolean"}})";
  CHECK(value(first, R"(["x", true, false])"));
  CHECK_FALSE(value(first, R"(["x", "y"])"));
}

TEST_CASE("alternatives, joined schemas and references are followed") {
  const char* either =
      R"({"anyOf":[{"type":"integer"},{"type":"array","items":{"type":"string"}},{"type":"string"}]})";
  CHECK(value(either, "1"));
  CHECK(value(either, R"(["a"])"));
  CHECK(value(either, "raw", true));
  CHECK_FALSE(value(either, "true"));
  const char* both =
      R"({"allOf":[{"type":["string","integer"]},{"type":["integer","null"],"minimum":3}]})";
  CHECK(value(both, "3"));
  CHECK_FALSE(value(both, "2"));
  CHECK_FALSE(value(both, "x", true));
  CHECK_FALSE(value(both, "null"));
  const auto tree = grammar(
      R"({"type":"object","properties":{"x":{"$ref":"#/$defs/t"}},"required":["x"],"$defs":{"t":{"type":"object","properties":{"l":{"$ref":"#/$defs/t"}},"additionalProperties":false}}})");
  const auto nested = [](int n) {
    std::string json = "{}";
    while (--n > 0) json = "{\"l\": " + json + "}";
    return json;
  };
  CHECK(whole(tree, call(parameter("x", nested(1), false))));
  CHECK(whole(tree, call(parameter("x", nested(16), false))));
  CHECK_FALSE(whole(tree, call(parameter("x", nested(17), false))));
}

TEST_CASE("a tool whose arguments nothing fits is left out by name") {
  const auto calls = CallGrammar::compile(
      {{"endless", "",
        Json::parse(R"({"type":"object","required":["x"],"properties":{"x":{"$ref":"#"}}})")},
       {"never", "", Json::parse(R"({"type":"object","required":["x"],"properties":{"x":false}})")},
       {"text", "", Json::parse(R"({"type":"string"})")},
       {"broken", "", Json::parse(R"({"type":"objekt"})")},
       {"good", "",
        Json::parse(R"({"type":"object","properties":{"x":false,"y":{"type":"null"}}})")}});
  REQUIRE(calls->tools().size() == 1);
  CHECK(calls->tools()[0].name == "good");
  CHECK(calls->left_out().size() == 4);
  CHECK(whole(calls, call(parameter("y", "null", false), "good")));
  CHECK_FALSE(whole(calls, call(parameter("x", "null", false), "good")));
}

TEST_CASE("a tokenizer that cannot write every text is refused") {
  inference::TokenizerDefinition definition;
  definition.vocabulary.push_back({inference::VocabularyEntry::Kind::pieces, "a"});
  definition.steps.push_back({.kind = inference::PreTokenizerStep::Kind::byte_alphabet});
  const auto plain = inference::Tokenizer::create(std::move(definition));
  if (plain) {
    const auto made = MaskVocabulary::create(*plain);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ErrorCode::unsupported);
  }
}

TEST_CASE("bounds are cut to whole units on the right side") {
  CHECK(bound_above("15e-1", 0) == 2);
  CHECK(bound_below("15e-1", 0) == 1);
  CHECK(bound_above("-15e-1", 0) == -1);
  CHECK(bound_below("-15e-1", 0) == -2);
  CHECK(bound_strictly_above("2e0", 0) == 3);
  CHECK(bound_strictly_below("2e0", 0) == 1);
  CHECK(bound_strictly_above("-1e-9", 6) == 0);
  CHECK(bound_strictly_below("-1e-9", 6) == -1);
  CHECK(bound_above("5e30", 0) == 1'000'000'000'000'000'000);
  CHECK(bound_above("0e0", 6) == 0);
  CHECK(bound_below("25e-1", 6) == 2'500'000);
}
