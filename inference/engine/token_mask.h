// Which tokens may come next: how the outside constrains decoding without the engine knowing why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "inference/tokenizer/token.h"

namespace sable::inference {

/// The state of a constraint along one sequence, such as a grammar or a schema. Called on engine
/// threads: every call must be pure (no locks, no files) and bounded by the vocabulary. One caller
/// at a time.
class TokenMask {
 public:
  virtual ~TokenMask() = default;

  /// Writes one bit a token, bit i mod 64 of word i / 64: set where token i may come next.
  /// `allowed` has words_for(vocabulary) words; bits behind the vocabulary are ignored.
  virtual void fill_allowed(std::span<uint64_t> allowed) const = 0;

  /// The token came. False, and nothing changed, when it was not allowed.
  virtual bool accept(TokenId token) = 0;

  /// Takes back the last n accepted tokens; n is at most what was accepted.
  virtual void roll_back(size_t n) = 0;

  /// An independent copy at the same state, for a forked sequence.
  virtual std::unique_ptr<TokenMask> clone() const = 0;

  static size_t words_for(size_t n_vocab) { return (n_vocab + 63) / 64; }
};

/// Sets the logits of tokens that may not come to minus infinity. `words` is scratch. Returns how
/// many tokens are left; with none left the logits are unchanged.
size_t apply_mask(const TokenMask& mask, std::span<uint64_t> words, std::span<float> logits);

/// The natural logarithm of each token's probability is logits[token] - log_normalizer(logits).
/// Computed in double in one fixed order.
double log_normalizer(std::span<const float> logits);

}  // namespace sable::inference
