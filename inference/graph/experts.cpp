// Mixture of experts: a router, the chosen experts, and the shared one that sees every token.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#include <limits>
#include <numeric>

#include "inference/graph/pass.h"

namespace sable::inference {

void Forward::Pass::experts(const LayerWeights& layer, const float* x, float* out) {
  const ExpertWeights& any = layer.experts.front();
  const MatrixInput in = input(x, D_, n_, rounded_.data(), {&layer.shared.w1, &any.w1});
  choose_experts(layer, x, in);
  if (stopped()) return;
  run_experts(layer, in);
  if (stopped()) return;
  trace("ffn.shared_output", shared_out_.data(), D_, n_);

  // Each token's results, in ascending order of expert, then the shared one.
  row_pointers_.clear();
  for (size_t i = 0; i < n_ * K_; ++i)
    row_pointers_.push_back(expert_out_.data() + slot_of_[i] * D_);
  backend_.sum_rows(row_pointers_, K_, shared_out_.data(), n_, D_, out);
}

/// The router, and beside it the first half of the shared expert, which waits for nobody.
void Forward::Pass::choose_experts(const LayerWeights& layer, const float* x,
                                   const MatrixInput& in) {
  const ExpertWeights& shared = layer.shared;
  matmul({job(layer.gate, x, router_.data(), n_),
          job(shared.w1, in.for_weight(shared.w1), shared_gate_.data(), n_),
          job(shared.w3, in.for_weight(shared.w3), shared_up_.data(), n_)});
  if (stopped()) return;
  chosen_.resize(n_ * K_);
  chosen_weights_.resize(n_ * K_);
  const bool hashed = !layer.tid2eid.empty();
  if (hashed) {
    for (size_t t = 0; t < n_; ++t) {
      const auto row =
          layer.tid2eid.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(ids_[t]) * K_);
      std::copy(row, row + static_cast<std::ptrdiff_t>(K_),
                chosen_.begin() + static_cast<std::ptrdiff_t>(t * K_));
    }
  }
  backend_.route(router_.data(), E_, layer.gate_bias.data(),
                 static_cast<float>(c_.routed_scaling_factor), hashed, K_, n_, chosen_,
                 chosen_weights_);
  if (tracing()) {
    const std::vector<float> ids(chosen_.begin(), chosen_.end());
    (*trace_)("gate.experts", layer_index_, ids, K_);
    (*trace_)("gate.weights", layer_index_, chosen_weights_, K_);
  }
}

void Forward::Pass::run_experts(const LayerWeights& layer, const MatrixInput& in) {
  // A slot is one token at one expert; slots of an expert lie together, in the order of tokens.
  const size_t n_slots = n_ * K_;
  expert_begin_.assign(E_ + 1, 0);
  for (const int32_t e : chosen_) ++expert_begin_[static_cast<size_t>(e) + 1];
  std::partial_sum(expert_begin_.begin(), expert_begin_.end(), expert_begin_.begin());
  slot_of_.resize(n_slots);
  slot_weights_.resize(n_slots);
  std::vector<size_t>& next = entries_at_;  // the attention is done with it
  next.assign(expert_begin_.begin(), expert_begin_.end() - 1);
  for (size_t i = 0; i < n_slots; ++i) {
    const size_t slot = next[static_cast<size_t>(chosen_[i])]++;
    slot_of_[i] = slot;
    slot_weights_[slot] = chosen_weights_[i];
  }
  const float* const from = in.for_weight(layer.experts.front().w1);
  row_pointers_.resize(n_slots);
  for (size_t i = 0; i < n_slots; ++i) row_pointers_[slot_of_[i]] = from + i / K_ * D_;
  const auto add = [&](const Weight& w, float* to, size_t begin, size_t n) {
    MatmulJob one = job(w, nullptr, to + begin * F_, n);
    one.x_rows = row_pointers_.data() + begin;
    jobs_.push_back(one);
  };
  jobs_.clear();
  for (size_t e = 0; e < E_; ++e) {
    const size_t begin = expert_begin_[e], n = expert_begin_[e + 1] - begin;
    if (n == 0) continue;
    const ExpertWeights& expert = layer.experts[e];
    ++traffic_.n_experts;
    residency_.use(expert);
    add(expert.w1, gate_.data(), begin, n);
    add(expert.w3, up_.data(), begin, n);
  }
  matmul(jobs_);
  if (stopped()) return;

  const auto limit = static_cast<float>(c_.swiglu_limit);
  backend_.swiglu(gate_.data(), up_.data(), limit, slot_weights_, n_slots, F_, gate_.data());
  backend_.swiglu(shared_gate_.data(), shared_up_.data(), limit, {}, n_, shared_F_,
                  shared_gate_.data());
  const ExpertWeights& any = layer.experts.front();
  const MatrixInput inner = input(gate_.data(), F_, n_slots, inner_.data(), {&any.w2});
  const MatrixInput shared_inner =
      input(shared_gate_.data(), shared_F_, n_, shared_up_.data(), {&layer.shared.w2});
  jobs_.clear();
  for (size_t e = 0; e < E_; ++e) {
    const size_t begin = expert_begin_[e], n = expert_begin_[e + 1] - begin;
    if (n == 0) continue;
    const Weight& w2 = layer.experts[e].w2;
    jobs_.push_back(job(w2, inner.for_weight(w2) + begin * F_, expert_out_.data() + begin * D_, n));
  }
  jobs_.push_back(
      job(layer.shared.w2, shared_inner.for_weight(layer.shared.w2), shared_out_.data(), n_));
  matmul(jobs_);
}

}  // namespace sable::inference
