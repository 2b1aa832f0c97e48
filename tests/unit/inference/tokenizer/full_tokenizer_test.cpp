// Ids of tokenizers that are too large for the repository. A program of its own, so that a run
// without such a file counts as skipped and not as passed.
#include <cstdio>
#include <cstdlib>

#include <catch2/catch.hpp>

#include "tests/unit/inference/tokenizer/golden_tokens.h"

using namespace sable::test;

TEST_CASE("a full-size tokenizer gives the ids of the reference library") {
  const char* file = std::getenv("SABLE_TOKENIZER_JSON");
  if (file == nullptr) {
    WARN(
        "NOT RUN: set SABLE_TOKENIZER_JSON to DeepSeek-V3's tokenizer.json, or to another one and "
        "SABLE_TOKENIZER_GOLDEN to what make_golden.mjs wrote for it");
    return;
  }
  const char* golden = std::getenv("SABLE_TOKENIZER_GOLDEN");
  const auto golden_file = golden == nullptr ? golden_folder() / "deepseek_v3.golden.json"
                                             : std::filesystem::path(golden);
  const auto [texts, equal] = compare(load_tokenizer(file), golden_file);
  std::printf("%zu of %zu texts have equal ids\n", equal, texts);
  CHECK(texts == corpus().size());
}
