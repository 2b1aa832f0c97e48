// One step down the gradient: Muon for the matrices between activations, AdamW for the rest.
//
// Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural networks"; Liu et al.,
// "Muon is Scalable for LLM Training" (the scale that matches AdamW's); Loshchilov and Hutter,
// "Decoupled Weight Decay Regularization".
#pragma once

#include <cstddef>
#include <vector>

#include "training/parameters.h"

namespace sable::training {

struct Rates {
  float muon = 9e-3F;
  float adamw = 3e-3F;
  float decay = 0.1F;
};

/// What continues from step to step; laid out as Parameters says.
struct OptimizerState {
  std::vector<float> momentum;  ///< first moments
  std::vector<float> squares;   ///< second moments, AdamW's tensors only
  size_t n_steps = 0;

  explicit OptimizerState(const Parameters& parameters);
};

/// Moves `values` against `gradient`, tensors spread over threads. The result does not depend on
/// how many there are.
void optimize(const Parameters& parameters, const Rates& rates, size_t n_threads,
              const float* gradient, OptimizerState& state, float* values);

/// Moves the selection biases of routers towards equal load: load [layers, experts] tokens.
void balance(const Parameters& parameters, const std::vector<uint64_t>& load, float rate,
             float* values);

/// x [rows, cols], in place, to nearly the nearest matrix with orthonormal rows (or columns).
void orthogonalize(float* x, size_t rows, size_t cols);

}  // namespace sable::training
