#include "inference/engine/token_mask.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace sable::inference {

size_t apply_mask(const TokenMask& mask, std::span<uint64_t> words, std::span<float> logits) {
  SABLE_CHECK(words.size() == TokenMask::words_for(logits.size()));
  std::fill(words.begin(), words.end(), 0);
  mask.fill_allowed(words);
  if (logits.size() % 64 != 0) words.back() &= (uint64_t{1} << logits.size() % 64) - 1;
  size_t n_allowed = 0;
  for (const uint64_t word : words) n_allowed += static_cast<size_t>(std::popcount(word));
  if (n_allowed == 0) return 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if ((words[i / 64] >> i % 64 & 1) == 0) logits[i] = -std::numeric_limits<float>::infinity();
  }
  return n_allowed;
}

double log_normalizer(std::span<const float> logits) {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const float l : logits) top = std::max(top, static_cast<double>(l));
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - top);
  return top + std::log(sum);
}

}  // namespace sable::inference
