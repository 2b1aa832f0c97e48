#include "inference/tokenizer/detokenizer.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "inference/tokenizer/utf8_scan.h"

namespace sable::inference {

Detokenizer::Detokenizer(Tokenizer tokenizer, SpecialTokens special)
    : tokenizer_(std::move(tokenizer)), special_(special) {}

Result<std::string> Detokenizer::push(TokenId id) {
  SABLE_TRY(const std::string_view bytes, tokenizer_.token_bytes(id));
  if (special_ == SpecialTokens::skip && tokenizer_.is_special(id)) return std::string();
  held_ += bytes;
  // A start of a character may be the last one, two or three bytes.
  size_t whole = held_.size();
  for (size_t n = 1; n <= std::min<size_t>(3, held_.size()); ++n) {
    if (utf8_could_continue(std::string_view(held_).substr(held_.size() - n))) {
      whole = held_.size() - n;
      break;
    }
  }
  std::string text = to_utf8(std::string_view(held_).substr(0, whole));
  held_.erase(0, whole);
  return text;
}

std::string Detokenizer::finish() { return to_utf8(std::exchange(held_, {})); }

}  // namespace sable::inference
