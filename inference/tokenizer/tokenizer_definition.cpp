#include "inference/tokenizer/tokenizer_definition.h"

#include <string_view>

namespace sable::inference {

namespace {

/// Feeds fields to the hash so that no two different definitions give the same byte stream: numbers
/// have eight bytes, little-endian, and strings their length in front.
class CanonicalWriter {
 public:
  void number(uint64_t value) {
    char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
    hash_.update(std::string_view(bytes, 8));
  }
  void text(std::string_view value) {
    number(value.size());
    hash_.update(value);
  }
  void id(TokenId value) { number(static_cast<uint64_t>(value)); }
  void optional_id(std::optional<TokenId> value) {
    number(value ? static_cast<uint64_t>(*value) + 1 : 0);
  }
  Digest finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

}  // namespace

Digest fingerprint_of(const TokenizerDefinition& definition) {
  CanonicalWriter out;
  out.text("sable tokenizer 1");
  out.number(definition.vocabulary.size());
  for (const VocabularyEntry& entry : definition.vocabulary) {
    out.number(static_cast<uint64_t>(entry.kind));
    out.text(entry.bytes);
  }
  out.number(definition.merges.size());
  for (const Merge& merge : definition.merges) {
    out.id(merge.left);
    out.id(merge.right);
    out.id(merge.result);
  }
  out.number(definition.ignore_merges);
  out.number(definition.added_tokens.size());
  for (const AddedToken& token : definition.added_tokens) {
    out.id(token.id);
    out.text(token.content);
    for (const bool flag :
         {token.special, token.single_word, token.lstrip, token.rstrip, token.normalized}) {
      out.number(flag);
    }
  }
  out.number(definition.steps.size());
  for (const PreTokenizerStep& step : definition.steps) {
    out.number(static_cast<uint64_t>(step.kind));
    out.number(step.literal);
    out.text(step.pattern);
    out.number(static_cast<uint64_t>(step.behaviour));
    out.number(step.invert);
  }
  out.optional_id(definition.bos);
  out.optional_id(definition.eos);
  return out.finish();
}

}  // namespace sable::inference
