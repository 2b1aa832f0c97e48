// Finds added tokens in text: the longest at each place, from left to right.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/tokenizer/pattern.h"
#include "inference/tokenizer/tokenizer_definition.h"

namespace sable::inference {

/// Immutable and thread-safe. Keeps copies of what it needs.
class AddedTokenFinder {
 public:
  /// A token in the text, white space that it swallowed included; a token in that white space is
  /// found too, so that the next one may begin before this one ends (as huggingface/tokenizers has
  /// it).
  struct Found {
    size_t begin = 0, end = 0;
    TokenId id = 0;
    friend bool operator==(const Found&, const Found&) = default;
  };

  /// Contents must be distinct and not empty.
  static Result<AddedTokenFinder> create(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  /// Appends the tokens of `text`, which may be any bytes, in order and without overlap. The text's
  /// ends count as word boundaries.
  void find_all(std::string_view text, std::vector<Found>& found) const;

 private:
  struct Group {
    uint32_t first = 0, last = 0;  // of tokens_, half-open
  };

  /// The longest token that starts at `at`, or null.
  const AddedToken* longest_at(std::string_view text, size_t at) const;
  bool touches_word(std::string_view text, size_t begin, size_t end) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  std::array<Group, 256> by_first_byte_{};
  std::optional<Pattern> word_character_;  // only where a token asks for it
};

}  // namespace sable::inference
