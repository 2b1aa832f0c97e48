// The mixture of experts, forwards and backwards: the router (by token or by score), the chosen
// experts, and the shared one.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "training/linear.h"

namespace sable::training {

/// A gated unit's inner activations for n rows of width F.
struct GatedState {
  std::vector<float> gate, up;  ///< before the clamp, [n, F]
  std::vector<float> inner;     ///< what the last matrix saw, weight included, [n, F]
};

/// What the way back needs of one layer's experts. A slot is one token at one of its experts; slots
/// of an expert lie together, tokens ascending.
struct ExpertsState {
  std::vector<float> input;          ///< x as the experts saw it, when rounded
  std::vector<float> logits, score;  ///< of the router, [n, E]
  std::vector<int32_t> chosen;       ///< [n, K], ascending experts
  std::vector<float> weight;         ///< [n, K]
  std::vector<size_t> begin;         ///< [E + 1] slots
  std::vector<size_t> slot_of;       ///< [n, K]
  std::vector<size_t> token_of;      ///< by slot
  std::vector<float> gathered;       ///< inputs by slot [n K, D]
  std::vector<float> slot_weight, slot_out;
  GatedState routed, shared;
};

class Experts {
 public:
  Experts(const Parameters& parameters, const LayerAt& layer, const Pointers& pointers,
          const Roundings& roundings);

  /// out [n, D] from x [n, D] and the tokens.
  void forward(size_t n, const int32_t* tokens, const float* x, ExpertsState& state,
               float* out) const;
  /// dx [n, D] is replaced. Scratch comes from `work`.
  void backward(size_t n, const float* x, ExpertsState& state, const float* dout, float* dx,
                std::vector<float>& work) const;

 private:
  void choose(size_t n, const int32_t* tokens, const float* x, ExpertsState& state) const;
  void arrange(size_t n, ExpertsState& state) const;
  void unit_forward(const ExpertAt& at, size_t n, const float* x, const float* weights,
                    GatedState& state, size_t first, float* out) const;
  void unit_backward(const ExpertAt& at, size_t n, const float* x, const float* weights,
                     const GatedState& state, size_t first, const float* dout, float* dx,
                     float* dweights, std::vector<float>& work) const;

  const Pointers p_;
  const LayerAt& layer_;
  const Roundings& roundings_;
  size_t D_, F_, E_, K_;
  float limit_, scale_;
};

}  // namespace sable::training
