// Token ids in, one by one; text out that is always whole characters.
#pragma once

#include <string>

#include "base/result.h"
#include "inference/tokenizer/tokenizer.h"

namespace sable::inference {

/// Decodes a stream. What push() and finish() return, joined, is the decoded bytes of all tokens
/// with every maximal ill-formed part replaced by U+FFFD (Unicode 15, section 3.9): exactly the
/// bytes when they are UTF-8. Half a character is held back (at most three bytes) until the rest
/// comes.
///
/// One stream and one thread; keeps its own copy of the tokenizer.
class Detokenizer {
 public:
  explicit Detokenizer(Tokenizer tokenizer, SpecialTokens special = SpecialTokens::keep);

  /// The text that this token completes; may be empty. An unknown id is an error and changes
  /// nothing.
  Result<std::string> push(TokenId id);

  /// The end of the stream: what was held back, as one U+FFFD, or nothing. A new stream may follow.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  SpecialTokens special_;
  std::string held_;  // the start of a character, well-formed so far
};

}  // namespace sable::inference
