// Tools in YAML: what a file may say, what it is told when it says it wrongly, and what a model's
// arguments can never become.
#include "tools/yaml_tools.h"

#include <filesystem>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "base/file.h"
#include "base/yaml.h"
#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"
#include "tools/argv_template.h"
#include "tools/text_template.h"

using namespace sable;
using namespace sable::tools;
namespace fs = std::filesystem;

namespace {

/// A file of one tool with two parameters; `rest` is put behind, `run` replaces the command.
std::string file_with(const std::string& rest,
                      const std::string& run = "argv: [echo, --, \"{text}\"]") {
  return "tools:\n"
         "  - name: say\n"
         "    description: says it\n"
         "    parameters:\n"
         "      type: object\n"
         "      properties:\n"
         "        text: {type: string}\n"
         "        count: {type: integer}\n"
         "        loud: {type: boolean}\n"
         "        more: {type: array, items: {type: string}}\n"
         "      required: [text]\n"
         "    run:\n"
         "      " +
         run + "\n" + rest;
}

std::string error_of(const std::string& text) {
  Registry registry;
  const auto added = registry.add_yaml(text, "t.yaml");
  REQUIRE_FALSE(added);
  CHECK(registry.list().empty());
  return added.error().message;
}

Outcome run_tool(test::ToolFixture& at, const std::string& text, Json arguments) {
  const auto added = at.registry.add_yaml(text, "t.yaml");
  if (!added) FAIL(added.error().message);
  return at.call("say", std::move(arguments));
}

}  // namespace

TEST_CASE("a tool of a file is listed, checked and run") {
  test::ToolFixture at;
  const auto outcome = run_tool(at, file_with(""), {{"text", "hello $(id) `id` ; 'x' \"y\""}});
  CHECK(outcome.ok);
  CHECK(outcome.text == "-- hello $(id) `id` ; 'x' \"y\"\n");  // echo prints the "--"
  const auto* definition = at.registry.list().back();
  CHECK(definition->name == "say");
  CHECK(definition->source == "t.yaml");
  CHECK(definition->approval == Approval::allow);
  CHECK(definition->effect == Effect::command);
  CHECK_FALSE(at.call("say", {{"text", 3}}).ok);
  const auto again = at.registry.add_yaml(file_with(""), "u.yaml");
  REQUIRE_FALSE(again);
  CHECK(contains(again.error().message, "u.yaml:2:11: there is already a tool \"say\" (t.yaml)"));
}

TEST_CASE("arguments are items of their own, whatever they hold") {
  const auto text = TextTemplate::parse("--x={a}{{b}}{c}");
  REQUIRE(text);
  CHECK(text->render({{"a", "1 2"}, {"c", true}}).value() == "--x=1 2{b}true");
  for (const char* broken : {"{", "}", "{}", "{a b}", "x{a", "a}b", "{a...}x", "{*}", "{a:xml}"}) {
    INFO(broken);
    CHECK_FALSE(TextTemplate::parse(broken));
  }
  CHECK_FALSE(text->render({{"a", std::string("x\0y", 3)}, {"c", 1}}));
  CHECK_FALSE(text->render({{"a", Json::array()}, {"c", 1}}));
  CHECK(TextTemplate::parse("{a:json}")->render({{"a", {1, "x"}}}).value() == "[1,\"x\"]");

  rc::prop("one argument stays one item with just its bytes", [](const std::string& value) {
    ArgvTemplate argv;
    argv.add({.items = {{.text = *TextTemplate::parse("program")}}});
    argv.add({.items = {{.text = *TextTemplate::parse("--")}}});
    argv.add({.items = {{.text = *TextTemplate::parse("{v}")}}});
    const auto rendered = argv.render({{"v", value}});
    if (value.find('\0') != std::string::npos) {
      RC_ASSERT_FALSE(rendered.has_value());
    } else {
      RC_ASSERT(rendered.has_value());
      RC_ASSERT(*rendered == (std::vector<std::string>{"program", "--", value}));
    }
  });
}

TEST_CASE("a value that begins with a dash is refused where options stand") {
  test::ToolFixture at;
  const auto outcome =
      run_tool(at, file_with("", "argv: [echo, \"{text}\", [-n, \"{count}\"]]"), {{"text", "-rf"}});
  CHECK_FALSE(outcome.ok);
  CHECK(contains(outcome.text, "must not begin with \"-\""));
  CHECK(at.call("say", {{"text", "rf"}}).ok);
  CHECK_FALSE(at.call("say", {{"text", "rf"}, {"count", -3}}).ok);
}

TEST_CASE("a dash is let through behind --, within an item, and where it is declared") {
  const auto argv_of = [](const std::string& run, const Json& arguments) {
    auto tools = read_yaml_tools(file_with("", run), "t", {});
    if (!tools) FAIL(tools.error().message);
    test::ToolFixture at;
    REQUIRE(at.registry.add_yaml(file_with("", run), "t"));
    return at.call("say", arguments).text;
  };
  CHECK(argv_of("argv: [printf, '<%s>', --, \"{text}\"]", {{"text", "-x"}}) == "<--><-x>\n");
  CHECK(argv_of("argv: [printf, '<%s>', \"a={text}\"]", {{"text", "-x"}}) == "<a=-x>\n");
  CHECK(argv_of("{argv: [printf, '<%s>', \"{text}\"], may_begin_with_dash: [text]}",
                {{"text", "-x"}}) == "<-x>\n");
  // A "--" in a group that may be left out protects that group only.
  CHECK(
      contains(argv_of("argv: [printf, '<%s>', [--, \"{more...}\"], \"{text}\"]", {{"text", "-x"}}),
               "must not begin"));
}

TEST_CASE("groups stand only when their arguments are given") {
  test::ToolFixture at;
  const std::string run =
      "argv: [printf, '<%s>', [-n, \"{count}\"], {if: loud, then: [--loud]}, --, \"{text}\", "
      "\"{more...}\"]";
  // "more" may be absent, so it needs a group.
  CHECK(contains(error_of(file_with("", run)), "\"more\" may be absent"));
  const auto text = file_with(
      "",
      "argv: [printf, '<%s>', [-n, \"{count}\"], {if: loud, then: [--loud]}, --, \"{text}\", "
      "[\"{more...}\"]]");
  CHECK(run_tool(at, text, {{"text", "t"}}).text == "<--><t>\n");
  CHECK(
      at.call("say", {{"text", "t"}, {"count", 2}, {"loud", true}, {"more", {"a b", "-c"}}}).text ==
      "<-n><2><--loud><--><t><a b><-c>\n");
  CHECK(at.call("say", {{"text", "t"}, {"loud", false}, {"more", Json::array()}}).text ==
        "<--><t>\n");
}

TEST_CASE("places in a text that a shell or an interpreter reads are refused") {
  for (const char* run :
       {"argv: [sh, -c, \"echo {text}\"]", "argv: [/bin/bash, -ec, \"{text}\"]",
        "argv: [bash, -l, -c, \"ls {text}\"]", "argv: [python3, -c, \"print('{text}')\"]",
        "argv: [perl, -ne, \"print {text}\"]", "argv: [node, -e, \"{text}\"]"}) {
    INFO(run);
    CHECK(contains(error_of(file_with("", run)), "program text"));
  }
  test::ToolFixture at;
  const auto outcome =
      run_tool(at, file_with("", "argv: [sh, -c, 'printf \"%s\" \"$1\"', sh, --, \"{text}\"]"),
               {{"text", "; rm -rf /"}});
  CHECK(outcome.text == "--\n");
  CHECK(contains(error_of(file_with("", "argv: [\"{text}\"]")), "must be a fixed name"));
}

TEST_CASE("stdin, environment and working directory are data as well") {
  test::ToolFixture at;
  at.folder.write("sub/f", "");
  const auto outcome =
      run_tool(at,
               file_with("",
                         "argv: [sh, -c, 'cat; printf \"%s\" \"$GREETING\"; pwd']\n"
                         "      stdin: \"{*:json}\"\n"
                         "      environment: {GREETING: \"hi {text} \"}\n"
                         "      working_directory: sub"),
               {{"text", "$HOME"}});
  CHECK(outcome.text == "{\"text\":\"$HOME\"}hi $HOME " + (at.folder / "sub").string() + "\n");
}

TEST_CASE("exit codes mean what the file says") {
  test::ToolFixture at;
  const std::string output =
      "    output:\n      exit_codes:\n        1: {ok: true, means: nothing found}\n        2: bad "
      "pattern\n";
  const auto one =
      run_tool(at, file_with(output, "argv: [sh, -c, 'exit $1', sh, \"{text}\"]"), {{"text", "1"}});
  CHECK(one.ok);
  CHECK(one.text == "[no output]\n[exit code 1: nothing found]\n");
  const auto two = at.call("say", {{"text", "2"}});
  CHECK_FALSE(two.ok);
  CHECK(contains(two.text, "exit code 2: bad pattern"));
  CHECK_FALSE(at.call("say", {{"text", "3"}}).ok);
}

TEST_CASE("JSON output is read, and what is not JSON is a failure") {
  test::ToolFixture at;
  const auto good =
      run_tool(at, file_with("    output: {format: json}\n", "argv: [printf, '%s', \"{text}\"]"),
               {{"text", "{\"b\": [1, 2],\n \"a\": 3}"}});
  CHECK(good.ok);
  CHECK(good.text == "{\"b\":[1,2],\"a\":3}\n");
  CHECK(good.details["json"]["a"] == 3);
  const auto bad = at.call("say", {{"text", "oops"}});
  CHECK_FALSE(bad.ok);
  CHECK(contains(bad.text, "was to print JSON"));
}

TEST_CASE("limits narrow the session's and time out in words") {
  test::ToolFixture at;
  const auto slow =
      run_tool(at, file_with("    limits: {timeout_seconds: 0.05}\n", "argv: [sleep, \"{text}\"]"),
               {{"text", "10"}});
  CHECK_FALSE(slow.ok);
  CHECK(contains(slow.text, "its time was over"));
}

TEST_CASE("approval rules on arguments can only make a call stricter") {
  Registry registry;
  REQUIRE(registry.add_yaml(
      file_with("    approval:\n      default: allow\n      rules:\n"
                "        - {argument: text, matches: \"^secret\", then: deny}\n"
                "        - {argument: count, matches: \"^[0-9]{3,}$\", then: ask}\n"),
      "t.yaml"));
  const auto approval = [&](Json arguments) {
    return registry.approval_for({.id = "c", .name = "say", .arguments = std::move(arguments)});
  };
  CHECK(approval({{"text", "open"}}) == Approval::allow);
  CHECK(approval({{"text", "secret/x"}}) == Approval::deny);
  CHECK(approval({{"text", "open"}, {"count", 1000}}) == Approval::ask);
  CHECK(approval({{"text", "secret"}, {"count", 1000}}) == Approval::deny);
  REQUIRE(registry.set_approval("say", Approval::deny));
  CHECK(approval({{"text", "open"}, {"count", 1000}}) == Approval::deny);
  CHECK(registry.approval_for({.id = "c", .name = "unknown", .arguments = {}}) == Approval::deny);
}

TEST_CASE("an approval rule holds for the default of an argument that is left out") {
  Registry registry;
  REQUIRE(registry.add_yaml(
      "tools:\n  - name: deploy\n    description: d\n    parameters:\n      type: object\n"
      "      properties: {target: {type: string, default: production}, n: {type: integer}}\n"
      "    run: {argv: [echo, \"{target}\"]}\n"
      "    approval: {rules: [{argument: target, matches: '^production$', then: deny},\n"
      "                       {argument: n, matches: '^[0-9]{3,}$', then: ask}]}\n",
      "t.yaml"));
  const auto decision = [&](Json arguments) {
    return registry.decision_for({.id = "c", .name = "deploy", .arguments = std::move(arguments)});
  };
  CHECK(decision(Json::object()).approval == Approval::deny);
  CHECK(decision(Json::object()).argument == "target");
  CHECK(decision({{"target", "staging"}}).approval == Approval::allow);
  CHECK(decision({{"target", "staging"}}).argument.empty());
  // A whole number is one however it is written.
  for (const char* n : {"1000", "1000.0", "1e3", "1E+3", "1e30", "18446744073709551616"}) {
    INFO(n);
    const auto value = parse_json(n);
    REQUIRE(value);
    CHECK(decision({{"target", "staging"}, {"n", *value}}).approval == Approval::ask);
  }
  CHECK(decision({{"target", "staging"}, {"n", 99.0}}).approval == Approval::allow);
}

TEST_CASE("a whole number is rendered as its digits") {
  const auto text = TextTemplate::parse("{n}");
  REQUIRE(text);
  for (const auto& [written, rendered] :
       {std::pair("1000.0", "1000"), std::pair("1e3", "1000"), std::pair("-0.0", "0"),
        std::pair("-7", "-7"), std::pair("0.5", "0.5"),
        std::pair("1e22", "10000000000000000000000")}) {
    INFO(written);
    CHECK(text->render({{"n", parse_json(written).value()}}).value() == rendered);
  }
}

TEST_CASE("defaults are put in") {
  test::ToolFixture at;
  const std::string text =
      "tools:\n  - name: say\n    description: d\n    parameters:\n      type: object\n"
      "      properties: {text: {type: string, default: dflt}}\n"
      "    run: {argv: [printf, '<%s>', \"{text}\"]}\n";
  CHECK(run_tool(at, text, Json::object()).text == "<dflt>\n");
}

TEST_CASE("errors name file, line, column and the nearest key") {
  CHECK(error_of("tolls: []") == "t.yaml:1:1: unknown key \"tolls\"; did you mean \"tools\"?");
  CHECK(error_of("tools:\n  - name: a b\n    description: d\n") ==
        "t.yaml:2:11: a name has 1 to 64 letters, digits, \"_\" and \"-\"");
  CHECK(contains(error_of("tools:\n  - name: a\n"),
                 "t.yaml:2:5: the key \"description\" is missing"));
  CHECK(contains(error_of(file_with("    aproval: ask\n")),
                 "t.yaml:14:5: unknown key \"aproval\"; did you mean \"approval\"?"));
  CHECK(contains(error_of(file_with("    approval: maybe\n")),
                 "t.yaml:14:15: expected allow, ask or deny"));
  CHECK(contains(error_of(file_with("    effect: workspace\n")), "t.yaml:14:13: expected none"));
  CHECK(contains(error_of(file_with("", "argv: [echo, \"{txt}\"]")),
                 "t.yaml:13:13: \"txt\" is not one of the parameters; did you mean \"text\"?"));
  CHECK(contains(error_of(file_with("", "argv: echo hello")), "t.yaml:13:13: expected a list"));
  CHECK(
      contains(error_of(file_with("", "argv: [echo, \"{text\"]")), "t.yaml:13:20: at character 1"));
  CHECK(contains(error_of(file_with("    limits: {timeout_seconds: -1}\n")),
                 "expected a number above 0"));
  CHECK(contains(error_of(file_with("    sandbox: {network: open}\n")),
                 "t.yaml:14:24: a tool can only give up the network"));
  CHECK(contains(error_of(file_with("    output: {exit_codes: {300: x}}\n")),
                 "expected an exit code"));
  CHECK(contains(
      error_of("tools:\n  - name: a\n    description: d\n    parameters:\n      type: object\n"
               "      properties:\n        x: {type: strng}\n    run: {argv: [a]}\n"),
      "t.yaml:7:19: parameters: /properties/x/type: expected a type's name"));
  CHECK(contains(error_of("tools:\n  - name: a\n    description: d\n    parameters: {type: array}\n"
                          "    run: {argv: [a]}\n"),
                 "expected \"type: object\""));
  CHECK(contains(
      error_of(file_with("    examples:\n      - arguments: {text: 3}\n")),
      "t.yaml:15:27: this example does not fit the parameters: at /text: expected a string"));
  CHECK(contains(
      error_of(file_with("    examples:\n      - {arguments: {text: a}, runs: [echo, a]}\n")),
      "this example runs [\"echo\",\"--\",\"a\"]"));
  CHECK(contains(error_of("tools: [a: &x [*x]]"), "t.yaml:1:"));
}

TEST_CASE("a name that another file has taken is refused with its place and whose it is") {
  Registry registry;
  REQUIRE(registry.add_yaml(file_with(""), "one.yaml"));
  const auto added = registry.add_yaml(file_with(""), "two.yaml");
  REQUIRE_FALSE(added);
  CHECK(added.error().message == "two.yaml:2:11: there is already a tool \"say\" (one.yaml)");
}

TEST_CASE("a file's name stands in one line of every message") {
  for (const auto& text :
       {std::string("tolls: []"), std::string("a: ["), std::string("tools: [{name: 3}]")}) {
    Registry registry;
    const auto added = registry.add_yaml(text, "a\nb.yaml");
    REQUIRE_FALSE(added);
    INFO(added.error().message);
    CHECK(added.error().message.starts_with("a\\nb.yaml:"));
    CHECK_FALSE(contains(added.error().message, "\n"));
  }
}

TEST_CASE("one wrong tool refuses the whole file") {
  CHECK(contains(error_of(file_with("  - name: other\n    description: d\n")),
                 "\"parameters\" is missing"));
  CHECK(contains(error_of(file_with("") + file_with("").substr(7)), "a second tool \"say\""));
}

TEST_CASE("the example files load, and the published schema accepts them") {
  const auto schema_text = read_file(fs::path(SABLE_SOURCE_DIR) / "docs/tool.schema.json");
  REQUIRE(schema_text);
  const auto schema = Schema::compile(parse_json(*schema_text).value());
  if (!schema) FAIL(schema.error().message);
  size_t n_files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(SABLE_SOURCE_DIR) / "configs/tools")) {
    INFO(entry.path().string());
    const auto text = read_file(entry.path());
    REQUIRE(text);
    Registry registry;
    const auto added = registry.add_yaml(*text, entry.path().filename().string());
    if (!added) FAIL(added.error().message);
    CHECK(registry.list().size() > 0);
    const auto value = parse_yaml(*text, "f")->as_json();
    REQUIRE(value);
    CHECK(describe(schema->check(*value), *schema) == "");
    ++n_files;
  }
  CHECK(n_files >= 2);
  // What the reader refuses by its form, the published schema refuses as well.
  for (const char* wrong :
       {"tolls: []",
        "tools: [{name: a b, description: d, parameters: {type: object}, run: {argv: [x]}}]",
        "tools: [{name: a, description: d, parameters: {type: object}, run: {argv: []}}]",
        "tools: [{name: a, description: d, parameters: {type: object}, run: {argv: [x]}, effect: "
        "all}]"}) {
    INFO(wrong);
    CHECK_FALSE(schema->check(parse_yaml(wrong, "f")->as_json().value()).empty());
    error_of(wrong);
  }
}

TEST_CASE("the example in the documentation loads, and does what it says") {
  const auto page = read_file(fs::path(SABLE_SOURCE_DIR) / "docs/tools.md");
  REQUIRE(page);
  const std::string fence = "```yaml\n";
  const size_t begin = page->find(fence + "tools:");
  REQUIRE(begin != std::string::npos);
  const size_t end = page->find("```\n", begin + fence.size());
  Registry registry;
  const auto added =
      registry.add_yaml(page->substr(begin + fence.size(), end - begin - fence.size()), "tools.md");
  if (!added) FAIL(added.error().message);
  CHECK(registry.find("find_todo") != nullptr);
}

TEST_CASE("any text is a file of tools or a refusal") {
  rc::prop("never a crash", [](const std::string& text) {
    Registry registry;
    if (const auto added = registry.add_yaml(text, "t"); !added) {
      RC_ASSERT(added.error().message.starts_with("t:"));
    }
  });
}
