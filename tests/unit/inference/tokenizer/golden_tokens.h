// The golden ids in tests/golden/tokenizer, ready to compare.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "inference/tokenizer/tokenizer.h"

namespace sable::test {

struct CorpusText {
  std::string name, text;
};

struct GoldenTokens {
  CorpusText text;
  std::vector<inference::TokenId> ids;
};

std::filesystem::path golden_folder();

/// What every golden file was made from.
const std::vector<CorpusText>& corpus();

/// One entry for each text that the file has, in the corpus's order.
std::vector<GoldenTokens> golden_tokens(const std::filesystem::path& file);

struct Agreement {
  size_t texts = 0, equal = 0;
};

/// Encodes every text of the golden file and reports each whose ids differ.
Agreement compare(const inference::Tokenizer& tokenizer, const std::filesystem::path& golden_file);

/// Names of the tokenizers in small/, sorted.
std::vector<std::string> small_tokenizers();

inference::Tokenizer load_tokenizer(const std::filesystem::path& tokenizer_json);
inference::Tokenizer small_tokenizer(const std::string& name);

}  // namespace sable::test
