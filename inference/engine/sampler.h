// Picks the next token from logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace sable::inference {

/// How to pick. The defaults sample from the model's own distribution.
struct SamplingParameters {
  double temperature = 1.0;  ///< 0: always the best token; else logits are divided by it
  int top_k = 0;             ///< only the k best; 0: no limit
  double top_p = 1.0;        ///< only the fewest best that have this share together, in (0, 1]
  double min_p = 0.0;  ///< only those with this share of the best one's probability, in [0, 1]
  double repetition_penalty =
      1.0;  ///< above 0: logits of tokens seen are divided (multiplied if negative)
  double presence_penalty = 0.0;   ///< subtracted once from the logit of each token seen
  double frequency_penalty = 0.0;  ///< subtracted for each time that it was seen
  uint64_t seed = 0;

  friend bool operator==(const SamplingParameters&, const SamplingParameters&) = default;
};

/// Refuses what is out of range or not a number (invalid_input, names the field).
Result<void> check(const SamplingParameters& parameters);

/// One step's input.
struct SamplingInput {
  std::span<const float> logits;  ///< [vocab_size]; minus infinity: impossible
  std::span<const uint64_t>
      allowed;  ///< [ceil(vocab_size / 64)], bit i % 64 of word i / 64; empty: all
  std::span<const int32_t> seen;      ///< token ids that the penalties look at, in any order
  uint64_t position = 0;              ///< of the token to pick in its sequence
  bool with_log_probability = false;  ///< costs a pass over the vocabulary
  size_t n_best = 0;                  ///< how many alternatives to report, with the same pass
};

struct TokenLogProbability {
  int32_t id = 0;
  double log_probability = 0.0;
  friend bool operator==(const TokenLogProbability&, const TokenLogProbability&) = default;
};

struct SampledToken {
  int32_t id = 0;
  std::optional<double> log_probability;  ///< natural logarithm; if it was asked for
  std::vector<TokenLogProbability> best;  ///< the n_best most probable, best first
};

/// Applies, in this order: penalties, allowed bits, temperature, top-k, top-p, min-p, and draws.
/// Equal logits rank by the lower id. Log-probabilities are those of the model, from the logits as
/// they came, so that they do not depend on how one samples.
///
/// The result is a pure function of parameters and input: no state, no clock, the same on every
/// machine, instruction set and thread (exact_math.h, counter_random.h). The object only keeps
/// buffers; use one on each thread.
class Sampler {
 public:
  /// Parameters must have passed check(). Fails (invalid_input) when a logit is not a number or
  /// plus infinity, when a seen id is outside the vocabulary, when `allowed` is too short, and when
  /// no token is left to pick.
  Result<SampledToken> sample(const SamplingParameters& parameters, const SamplingInput& input);

 private:
  struct Candidate {
    double logit;
    double weight;  // e^((logit - best logit) / temperature)
    int32_t id;
  };

  Result<void> collect(const SamplingParameters& parameters, const SamplingInput& input);
  void keep_top_k(size_t k);
  void keep_top_p(double share);
  void sort_by_id();
  int32_t draw(double uniform) const;
  void report(const SamplingInput& input, SampledToken& picked);

  static bool better(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }

  std::vector<Candidate> candidates_;
  std::vector<int32_t> seen_;
};

}  // namespace sable::inference
