// Ids equal those of huggingface/tokenizers, recorded by tests/golden/tokenizer/make_golden.mjs.
#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/json.h"
#include "inference/tokenizer/pre_tokenizer.h"
#include "inference/tokenizer/pre_tokenizer_json.h"
#include "tests/unit/inference/tokenizer/golden_tokens.h"

using namespace sable;
using namespace sable::inference;
using namespace sable::test;

namespace {

std::string utf8(uint32_t c) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  if (c < 0x80) return {byte(c)};
  const char last = byte(0x80 | (c & 0x3F));
  if (c < 0x800) return {byte(0xC0 | c >> 6), last};
  const char third = byte(0x80 | (c >> 6 & 0x3F));
  if (c < 0x10000) return {byte(0xE0 | c >> 12), third, last};
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), third, last};
}

}  // namespace

TEST_CASE("every small tokenizer gives the ids of the reference library") {
  const auto names = small_tokenizers();
  REQUIRE(names.size() >= 30);
  for (const std::string& name : names) {
    compare(small_tokenizer(name), golden_folder() / "small" / (name + ".golden.json"));
  }
}

TEST_CASE("character classes hold the code points that they hold in the reference library") {
  const auto text = read_file(golden_folder() / "classes.golden.json");
  REQUIRE(text);
  const auto golden = parse_json(*text);
  REQUIRE(golden);
  REQUIRE(golden->size() >= 15);
  std::string all;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c < 0xD800 || c > 0xDFFF) all += utf8(c);
  }
  for (const auto& [expression, ranges] : golden->items()) {
    std::string expected;
    for (const auto& range : ranges) {
      for (uint32_t c = range[0]; c <= range[1]; ++c) expected += utf8(c);
    }
    // Keep the matches alone; every one is a piece.
    const auto steps = steps_from_json(
        Json{{"type", "Sequence"},
             {"pretokenizers",
              {{{"type", "Split"},
                {"pattern", {{"Regex", expression}}},
                {"behavior", "Removed"},
                {"invert", true}},
               {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}},
        "pre_tokenizer");
    REQUIRE(steps);
    const auto pre_tokenizer = PreTokenizer::create(*steps);
    REQUIRE(pre_tokenizer);
    PreTokenizer::Scratch scratch;
    std::string matched;
    REQUIRE(pre_tokenizer->split(all, scratch, [&](std::string_view piece) { matched += piece; }));
    INFO(expression);
    CHECK((matched == expected));  // in parentheses: megabytes are no message
  }
}
