// The whole model on one sequence: the loss of its wanted tokens, and its gradient.
//
// Forward pass as in inference (whose logits a test compares), backward pass written by hand. A
// Worker owns the activations of one sequence at a time; several on several threads share the
// weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "training/attention.h"
#include "training/experts.h"
#include "training/parameters.h"
#include "training/streams.h"

namespace sable::training {

/// A sequence to learn from: weight[t] is how much the prediction of tokens[t + 1] from the tokens
/// up to t counts; 0 costs no work. weight has a value for each token, the last one unused.
struct Example {
  std::span<const int32_t> tokens;
  std::span<const float> weight;
};

/// What one sequence gave.
struct Outcome {
  double loss = 0;        ///< sum of weight * cross entropy (natural logarithm)
  double weight = 0;      ///< sum of weights
  double index_loss = 0;  ///< sum over queries of the indexers' divergences
  size_t n_index_queries = 0;
  std::vector<uint8_t>
      right;  ///< [tokens]: 1 where the most likely next token is the one that came
  std::vector<uint32_t> expert_load;  ///< [layers, experts]: tokens sent to each
};

/// How gradients of a sequence are weighed; 0 for none.
struct GradientScale {
  float loss = 0;   ///< of each unit of Outcome::loss
  float index = 0;  ///< of each unit of Outcome::index_loss
};

class Worker {
 public:
  explicit Worker(const Parameters& parameters);
  Worker(Worker&&) noexcept;
  ~Worker();

  /// Reads p.values and p.transposed; adds the gradient of scale.loss * loss + scale.index *
  /// index_loss to p.gradient when scale.loss > 0. `logits`, if given, becomes [n, vocab].
  Outcome run(const Example& example, const Pointers& p, const Roundings& roundings,
              GradientScale scale, std::vector<float>* logits = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Every matrix of `values` the other way round, as Pointers wants it; whole parameters
/// [first, last) of the list, so that threads can share the work.
void transpose_values(const Parameters& parameters, size_t first, size_t last, const float* values,
                      float* transposed);

}  // namespace sable::training
