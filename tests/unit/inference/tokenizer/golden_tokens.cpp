#include "tests/unit/inference/tokenizer/golden_tokens.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/json.h"

namespace sable::test {

namespace {

Json read_json(const std::filesystem::path& file) {
  const auto text = read_file(file);
  INFO(file);
  REQUIRE(text);
  auto json = parse_json(*text);
  REQUIRE(json);
  return std::move(*json);
}

}  // namespace

std::filesystem::path golden_folder() {
  return std::string(SABLE_SOURCE_DIR) + "/tests/golden/tokenizer";
}

const std::vector<CorpusText>& corpus() {
  static const std::vector<CorpusText> texts = [] {
    std::vector<CorpusText> list;
    const Json entries = read_json(golden_folder() / "corpus.json");
    for (const Json& entry : entries) {
      list.push_back({entry["name"].get<std::string>(), entry["text"].get<std::string>()});
    }
    return list;
  }();
  return texts;
}

std::vector<GoldenTokens> golden_tokens(const std::filesystem::path& file) {
  std::vector<GoldenTokens> list;
  const Json golden = read_json(file);
  for (const CorpusText& text : corpus()) {
    const auto ids = golden.find(text.name);
    if (ids == golden.end()) continue;
    list.push_back({text, ids->get<std::vector<inference::TokenId>>()});
  }
  REQUIRE(list.size() == golden.size());
  REQUIRE(list.size() > corpus().size() / 2);
  return list;
}

Agreement compare(const inference::Tokenizer& tokenizer, const std::filesystem::path& golden_file) {
  Agreement agreement;
  for (const auto& [text, golden] : golden_tokens(golden_file)) {
    const auto ids = tokenizer.encode(text.text, inference::AddedTokens::recognise);
    INFO(golden_file.filename() << ", text \"" << text.name << '"');
    REQUIRE(ids);
    CHECK(*ids == golden);
    ++agreement.texts;
    agreement.equal += *ids == golden;
  }
  return agreement;
}

std::vector<std::string> small_tokenizers() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder() / "small")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".golden.json")) names.push_back(name.substr(0, name.size() - 5));
  }
  std::sort(names.begin(), names.end());
  return names;
}

inference::Tokenizer load_tokenizer(const std::filesystem::path& tokenizer_json) {
  const auto text = read_file(tokenizer_json);
  REQUIRE(text);
  auto tokenizer = inference::Tokenizer::from_json(*text);
  INFO((tokenizer ? std::string() : tokenizer.error().message));
  REQUIRE(tokenizer);
  return std::move(*tokenizer);
}

inference::Tokenizer small_tokenizer(const std::string& name) {
  return load_tokenizer(golden_folder() / "small" / (name + ".json"));
}

}  // namespace sable::test
