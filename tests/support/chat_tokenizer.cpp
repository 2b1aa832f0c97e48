#include "tests/support/chat_tokenizer.h"

#include <algorithm>

#include "base/check.h"

namespace sable::test {

using namespace inference;

inference::Tokenizer chat_tokenizer(const std::vector<std::string>& further,
                                    const std::vector<std::string>& pieces) {
  TokenizerDefinition definition;
  const auto add_special = [&](const std::string& text, bool special) {
    const auto id = static_cast<TokenId>(definition.vocabulary.size());
    definition.vocabulary.push_back({});
    definition.added_tokens.push_back({.id = id, .content = text, .special = special});
  };
  for (const char* text : {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"}) {
    add_special(text, true);
  }
  for (int byte = 0; byte < 256; ++byte) {
    definition.vocabulary.push_back(
        {VocabularyEntry::Kind::pieces, std::string(1, static_cast<char>(byte))});
  }
  const auto id_of = [&](const std::string& bytes) {
    const auto it = std::find_if(definition.vocabulary.begin(), definition.vocabulary.end(),
                                 [&](const auto& entry) { return entry.bytes == bytes; });
    SABLE_CHECK(it != definition.vocabulary.end());
    return static_cast<TokenId>(it - definition.vocabulary.begin());
  };
  const std::pair<const char*, const char*> merges[] = {
      {"\n", "\n"}, {".", "\n\n"}, {"#", "#"}, {" ", "t"},  {"h", "e"},
      {" t", "he"}, {"i", "n"},    {"e", "r"}, {"\"", ">"}, {"\xc3", "\xa9"}};
  for (const auto& [left, right] : merges) {
    const TokenId l = id_of(left), r = id_of(right);
    const auto result = static_cast<TokenId>(definition.vocabulary.size());
    definition.vocabulary.push_back(
        {VocabularyEntry::Kind::pieces, std::string(left) + std::string(right)});
    definition.merges.push_back({l, r, result});
  }
  for (const char* text : {"<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "｜DSML｜",
                           "<｜latest_reminder｜>", "<｜action｜>", "<｜query｜>",
                           "<｜authority｜>", "<｜domain｜>", "<｜title｜>", "<｜read_url｜>"}) {
    add_special(text, false);
  }
  for (const auto& text : further) add_special(text, false);
  for (const auto& piece : pieces) {
    definition.vocabulary.push_back({VocabularyEntry::Kind::literal, piece});
  }
  definition.steps.push_back(
      {.pattern = " ?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+"});
  definition.steps.push_back({.kind = PreTokenizerStep::Kind::byte_alphabet});
  definition.bos = 0;
  definition.eos = 1;
  auto tokenizer = Tokenizer::create(std::move(definition));
  SABLE_CHECK(tokenizer.has_value());
  return *tokenizer;
}

}  // namespace sable::test
