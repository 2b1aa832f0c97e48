#include "agent/prompt/prompt_texts.h"

#include <catch2/catch.hpp>

#include "agent/prompt/python_literals.h"
#include "base/file.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;

namespace {

constexpr const char* kYaml = "tools: |\n  Head\n  {tool_schemas}\n  Tail\neffort_max: Much.\n";
const PromptTexts kFallback{.tools_head = "ours", .source = "our own wording"};

}  // namespace

TEST_CASE("prompt.yaml gives head and tail of the tools text") {
  const auto texts = parse_prompt_texts(kYaml, "prompt.yaml");
  REQUIRE(texts);
  CHECK(texts->tools_head == "Head\n");
  CHECK(texts->tools_tail == "\nTail\n");
  CHECK(texts->effort_max == "Much.");
  CHECK(texts->effort_high.empty());
}

TEST_CASE("a malformed prompt.yaml is refused with its place") {
  const auto error = [](const char* yaml) {
    const auto texts = parse_prompt_texts(yaml, "p");
    REQUIRE_FALSE(texts);
    return texts.error().message;
  };
  CHECK(error("tools: no field\n") == "p:1:8: tools: expected {tool_schemas} once in the text");
  CHECK(error("tools: '{tool_schemas}{tool_schemas}'\n").starts_with("p:1:8: tools: expected"));
  CHECK(error("effort_max: x\n") == "p:1:1: tools is missing");
  CHECK(error("tool: x\n").starts_with("p:1:1: unknown key \"tool\""));
  CHECK(error("- x\n").starts_with("p:1:1: expected a mapping"));
  CHECK(error("tools: [1]\n").starts_with("p:1:8: tools: expected text"));
}

TEST_CASE("our own wording is well-formed") {
  const auto yaml = read_file(std::string(SABLE_SOURCE_DIR) + "/configs/models/prompt.yaml");
  REQUIRE(yaml);
  const auto texts = parse_prompt_texts(*yaml, "prompt.yaml");
  REQUIRE(texts);
  CHECK(texts->tools_head.starts_with("## Tools\n"));
  CHECK(texts->tools_head.ends_with("### Available Tool Schemas\n\n"));
  CHECK(texts->tools_tail.starts_with("\n\n"));
  CHECK(texts->tools_tail.ends_with(".\n"));
  CHECK(texts->effort_max.ends_with(".\n\n"));
}

TEST_CASE("a model's own file wins, then the official one, then the fallback, which says why") {
  const test::TemporaryFolder folder;
  auto texts = load_prompt_texts(folder.path(), kFallback);
  REQUIRE(texts);
  CHECK(texts->source == "our own wording (the model brings no prompt.yaml)");
  std::filesystem::create_directory(folder / "encoding");
  REQUIRE(
      write_file_atomically(folder / "encoding/encoding_dsv4.py", "T = \"\"\"## Tools\"\"\"\n"));
  texts = load_prompt_texts(folder.path(), kFallback);
  REQUIRE(texts);
  CHECK(texts->tools_head == "ours");
  CHECK(texts->source.find("no tools text that is known") != std::string::npos);
  REQUIRE(write_file_atomically(folder / "prompt.yaml", kYaml));
  texts = load_prompt_texts(folder.path(), kFallback);
  REQUIRE(texts);
  CHECK(texts->tools_head == "Head\n");
  REQUIRE(write_file_atomically(folder / "m.prompt.yaml", "tools: 'G{tool_schemas}'"));
  texts = load_prompt_texts(folder / "m.gguf", kFallback);
  REQUIRE(texts);
  CHECK(texts->tools_head == "G");
  REQUIRE(write_file_atomically(folder / "prompt.yaml", "tools: x"));
  CHECK_FALSE(load_prompt_texts(folder.path(), kFallback));
}

TEST_CASE("string constants of a Python file are found as Python joins them") {
  using List = std::vector<std::string>;
  CHECK(python_string_literals("a = 'x'\nb = \"y\\n\" # 'no'\n") == List{"x", "y\n"});
  CHECK(python_string_literals("a = (\n  'x'  # c\n  \"y\"\n)\n'z'") == List{"xy", "z"});
  CHECK(python_string_literals("a = '''one\n'two' \\\n'''\n\"\"\"doc\"\"\"") ==
        List{"one\n'two' ", "doc"});
  CHECK(python_string_literals("f'{x}' r'\\n' b'y' u'u' prefix'v'") == List{"\\n", "u", "v"});
  CHECK(python_string_literals("'\\'' \"\\\\\"") == List{"'\\"});
  CHECK(python_string_literals("'never closed").size() == 1);
  CHECK(python_string_literals("\"\"\"never closed").size() == 1);
  CHECK(python_string_literals("").empty());
}
