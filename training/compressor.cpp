#include "training/compressor.h"

#include <algorithm>

#include "training/lanes.h"

namespace sable::training {

Compressor::Compressor(const CompressorAt& at, size_t hidden, float eps, const Pointers& p)
    : at_(at),
      wkv_(Linear::at(p, at.wkv, at.width, hidden)),
      wgate_(Linear::at(p, at.wgate, at.width, hidden)),
      ape_(p.values + at.ape),
      norm_(p.values + at.norm),
      dape_(p.gradient == nullptr ? nullptr : p.gradient + at.ape),
      dnorm_(p.gradient == nullptr ? nullptr : p.gradient + at.norm),
      eps_(eps) {}

bool Compressor::slot(size_t s, size_t i, size_t& at) const {
  // With overlap: the low halves of the block before, then the high halves of the entry's own.
  if (!overlaps()) {
    at = (s * at_.ratio + i) * at_.width;
    return true;
  }
  const bool own = i >= at_.ratio;
  if (!own && s == 0) return false;
  const size_t token = own ? s * at_.ratio + i - at_.ratio : (s - 1) * at_.ratio + i;
  at = token * at_.width + (own ? at_.dim : 0);
  return true;
}

void Compressor::forward(size_t n, const float* x, const Rotations& rotations,
                         CompressorState& state) const {
  const size_t dim = at_.dim, slots = n_slots(), entries = n_entries(n);
  state.values.resize(n * at_.width);
  state.gates.resize(n * at_.width);
  state.share.resize(entries * slots * dim);
  state.pooled.resize(entries * dim);
  state.entries.resize(entries * dim);
  state.r.resize(entries);
  if (entries == 0) return;
  wkv_.forward(n, x, state.values.data());
  wgate_.forward(n, x, state.gates.data());
  for (size_t t = 0; t < n; ++t) {
    add_to(state.gates.data() + t * at_.width, ape_ + t % at_.ratio * at_.width, at_.width);
  }
  std::vector<float> top(dim), sum(dim);
  for (size_t s = 0; s < entries; ++s) {
    float* const pooled = state.pooled.data() + s * dim;
    std::fill(top.begin(), top.end(), -1e30F);
    std::fill(sum.begin(), sum.end(), 0.0F);
    std::fill_n(pooled, dim, 0.0F);
    size_t at = 0;
    for (size_t i = 0; i < slots; ++i) {
      if (!slot(s, i, at)) continue;
      for (size_t ch = 0; ch < dim; ++ch) top[ch] = std::max(top[ch], state.gates[at + ch]);
    }
    for (size_t i = 0; i < slots; ++i) {
      if (!slot(s, i, at)) continue;
      float* const share = state.share.data() + (s * slots + i) * dim;
      for (size_t ch = 0; ch < dim; ++ch) {
        share[ch] = fast_exp(state.gates[at + ch] - top[ch]);
        sum[ch] += share[ch];
        pooled[ch] += share[ch] * state.values[at + ch];
      }
    }
    for (size_t ch = 0; ch < dim; ++ch) {
      sum[ch] = 1.0F / sum[ch];
      pooled[ch] *= sum[ch];
    }
    for (size_t i = 0; i < slots; ++i) {
      float* const share = state.share.data() + (s * slots + i) * dim;
      for (size_t ch = 0; ch < dim; ++ch) share[ch] *= sum[ch];
    }
  }
  rms_norm(state.pooled.data(), norm_, entries, dim, eps_, state.entries.data(), state.r.data());
  rotate_rows(state.entries.data(), entries, 1, dim, rotations, false);
}

void Compressor::backward(size_t n, const float* x, const Rotations& rotations,
                          const CompressorState& state, float* dentries, float* dx,
                          std::vector<float>& work) const {
  const size_t dim = at_.dim, slots = n_slots(), entries = n_entries(n);
  if (entries == 0) return;
  rotate_rows(dentries, entries, 1, dim, rotations, true);
  rms_norm_backward(dentries, state.pooled.data(), norm_, state.r.data(), entries, dim, dentries,
                    dnorm_);
  work.assign(2 * n * at_.width, 0.0F);
  float* const dvalues = work.data();
  float* const dgates = work.data() + n * at_.width;
  for (size_t s = 0; s < entries; ++s) {
    const float* const de = dentries + s * dim;
    const float* const pooled = state.pooled.data() + s * dim;
    size_t at = 0;
    for (size_t i = 0; i < slots; ++i) {
      if (!slot(s, i, at)) continue;
      const float* const share = state.share.data() + (s * slots + i) * dim;
      for (size_t ch = 0; ch < dim; ++ch) {
        const float through = share[ch] * de[ch];
        dvalues[at + ch] += through;
        dgates[at + ch] += through * (state.values[at + ch] - pooled[ch]);
      }
    }
  }
  for (size_t t = 0; t < n; ++t) {
    add_to(dape_ + t % at_.ratio * at_.width, dgates + t * at_.width, at_.width);
  }
  wkv_.backward_weight(n, dvalues, x);
  wgate_.backward_weight(n, dgates, x);
  if (dx == nullptr) return;
  wkv_.backward_input(n, dvalues, dx, Into::add);
  wgate_.backward_input(n, dgates, dx, Into::add);
}

}  // namespace sable::training
