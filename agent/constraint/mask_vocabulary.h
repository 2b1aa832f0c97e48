// A tokenizer's tokens arranged for asking which of them may come next.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "agent/constraint/call_machine.h"
#include "agent/dsml/symbols.h"
#include "base/result.h"

namespace sable::agent {

using MaskWords = std::vector<uint64_t>;

/// Tokens of bytes as a tree, those with markers in a list, and the answers to the questions that
/// come most often. Made once for a model; immutable.
class MaskVocabulary {
 public:
  /// unsupported when a byte has no token of its own, or a marker none: then some reply that the
  /// grammar asks for could not be written.
  static Result<std::shared_ptr<const MaskVocabulary>> create(
      const inference::Tokenizer& tokenizer);

  struct Node {
    uint32_t first_child = 0, n_children = 0;  ///< in nodes; children stand together, by byte
    uint32_t first_token = 0, n_tokens = 0;    ///< in tokens
    uint8_t byte = 0;
  };
  /// Node 0 is the empty string.
  struct Tree {
    std::vector<Node> nodes;
    std::vector<inference::TokenId> tokens;
  };

  const TokenSymbols& symbols() const { return symbols_; }
  size_t n_words() const { return n_words_; }
  const Tree& all() const { return all_; }
  /// Tokens that a JSON string may contain and that have a quote or a backslash in them.
  const Tree& quoted() const { return quoted_; }
  /// Tokens with a marker in them that can stand in a reply.
  const std::vector<inference::TokenId>& marked() const { return marked_; }
  size_t longest_token() const { return longest_token_; }  ///< bytes

  const MaskWords& text() const { return text_; }  ///< every token of bytes
  /// Those that are well-formed UTF-8 from a place inside a character on.
  const MaskWords& utf8(uint8_t place) const { return utf8_[place]; }
  /// Those that a JSON string may contain and that have no quote and no backslash.
  const MaskWords& json_text() const { return json_text_; }

 private:
  explicit MaskVocabulary(const inference::Tokenizer& tokenizer) : symbols_(tokenizer) {}

  TokenSymbols symbols_;
  size_t n_words_ = 0, longest_token_ = 0;
  Tree all_, quoted_;
  std::vector<inference::TokenId> marked_;
  MaskWords text_, json_text_;
  std::array<MaskWords, kUtf8Places> utf8_;
};

}  // namespace sable::agent
