// Pools blocks of tokens into compressed entries, forwards and backwards, a whole sequence at a
// time.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <vector>

#include "training/linear.h"
#include "training/rows.h"

namespace sable::training {

struct CompressorState {
  std::vector<float> values, gates;       ///< of tokens [n, width]; gates with the positional bias
  std::vector<float> share;               ///< softmax weights [n_entries, slots, dim]
  std::vector<float> pooled, r, entries;  ///< [n_entries, dim]; r: of the norm
};

class Compressor {
 public:
  Compressor(const CompressorAt& at, size_t hidden, float eps, const Pointers& pointers);

  size_t n_entries(size_t n_tokens) const { return n_tokens / at_.ratio; }

  /// state.entries from x [n, D]: pooled, normed and turned by the position of each block's first
  /// token; not rounded.
  void forward(size_t n, const float* x, const Rotations& rotations, CompressorState& state) const;
  /// From dentries [n_entries, dim], which is overwritten. dx += (null: not wanted).
  void backward(size_t n, const float* x, const Rotations& rotations, const CompressorState& state,
                float* dentries, float* dx, std::vector<float>& work) const;

 private:
  bool overlaps() const { return at_.width == 2 * at_.dim; }
  size_t n_slots() const { return overlaps() ? 2 * at_.ratio : at_.ratio; }
  /// Where slot i of entry s lies in rows of `width`; false when there is no such token.
  bool slot(size_t s, size_t i, size_t& at) const;

  const CompressorAt& at_;
  Linear wkv_, wgate_;
  const float *ape_, *norm_;
  float *dape_, *dnorm_;
  float eps_;
};

}  // namespace sable::training
