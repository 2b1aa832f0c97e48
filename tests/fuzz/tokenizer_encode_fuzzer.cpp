// Any bytes as text, through tokenizers that cut by regular expressions, added tokens and
// stand-ins.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "inference/tokenizer/detokenizer.h"
#include "inference/tokenizer/tokenizer.h"

namespace {

using namespace sable;
using namespace sable::inference;

Tokenizer load(const std::string& name) {
  const auto text =
      read_file(std::string(SABLE_SOURCE_DIR) + "/tests/golden/tokenizer/small/" + name + ".json");
  SABLE_CHECK(text.has_value());
  auto tokenizer = Tokenizer::from_json(*text);
  SABLE_CHECK(tokenizer.has_value());
  return std::move(*tokenizer);
}

struct Subject {
  Tokenizer tokenizer;
  bool keeps_text;  // nothing is removed, added or swallowed when added tokens are recognised
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Subject> subjects = {
      {load("deepseek_v3_reduced"), true}, {load("added_tokens"), false},
      {load("byte_level_first"), true},    {load("split_empty_matches"), true},
      {load("dialect_words"), true},       {load("ignore_merges"), true},
  };
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& [tokenizer, keeps_text] : subjects) {
    for (const auto mode : {AddedTokens::recognise, AddedTokens::as_text}) {
      const auto ids = tokenizer.encode(text, mode);
      SABLE_CHECK(ids.has_value());
      const auto bytes = tokenizer.decode(*ids);
      SABLE_CHECK(bytes.has_value());
      SABLE_CHECK(*bytes == text || (mode == AddedTokens::recognise && !keeps_text));
      Detokenizer stream(tokenizer);
      std::string streamed;
      for (const TokenId id : *ids) {
        SABLE_CHECK(mode == AddedTokens::recognise || !tokenizer.is_added(id));
        const auto part = stream.push(id);
        SABLE_CHECK(part.has_value() && is_utf8(*part));
        streamed += *part;
      }
      SABLE_CHECK(streamed + stream.finish() == to_utf8(*bytes));
    }
  }
  return 0;
}
