// The lightning indexer: scores every visible compressed entry for a query, picks the best, and
// learns to score as the attention itself weighs.
//
// Its loss is the divergence of its softmax over the attended entries from the attention's own
// weights there (summed over heads), as DeepSeek trains it; nothing flows back into the layer.
//
// Sources: DeepSeek-V3.2 and DeepSeek-V4 (arXiv 2606.19348).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "training/compressor.h"
#include "training/linear.h"
#include "training/rows.h"

namespace sable::training {

struct IndexerState {
  CompressorState keys;
  std::vector<float> keys_transposed;  ///< [dim, n_entries]
  std::vector<float> q;                ///< [n, heads, dim]
  std::vector<float> weights;          ///< [n, heads], scaled
  std::vector<float> products;         ///< of one block of queries [rows, heads, n_visible]
  std::vector<float> scores;           ///< of one block [rows, n_visible]
  std::vector<float> dq, dweights, dkeys;
};

class Indexer {
 public:
  Indexer(const Parameters& parameters, const LayerAt& layer, const Pointers& pointers,
          const Roundings& roundings);

  /// Queries and keys of a sequence: x [n, D] the layer's input, qr [n, dq] the low-rank query as
  /// wq_b sees it. Clears the gradients.
  void prepare(size_t n, const float* x, const float* qr, const Rotations& by_token,
               const Rotations& by_entry, IndexerState& state) const;

  /// state.scores of the queries t0 .. t1-1 for the first n_entries entries.
  void score(size_t t0, size_t t1, size_t n_entries, IndexerState& state) const;

  /// attends [n_visible] = 1 for the top_k best of scores [n_visible] (all when there are not
  /// more), else 0. Ties go to the lower index.
  void select(const float* scores, size_t n_visible, std::vector<uint8_t>& attends) const;

  /// After score(): one query's part of the loss against `target` [n_visible], which is positive
  /// where attended and need not sum to 1; its gradient, times `scale`, is kept in the state.
  double learn(size_t t0, size_t t, size_t n_entries, size_t n_visible, const float* target,
               const std::vector<uint8_t>& attends, float scale, IndexerState& state) const;
  /// After the learn() calls of a block: the gradients of its queries, keys and weights.
  void finish_block(size_t t0, size_t t1, size_t n_entries, IndexerState& state) const;

  /// Everything kept, into the parameters' gradients.
  void backward(size_t n, const float* x, const float* qr, const Rotations& by_token,
                const Rotations& by_entry, IndexerState& state, std::vector<float>& work) const;

  size_t top_k() const { return top_k_; }

 private:
  const Roundings& roundings_;
  Compressor compressor_;
  Linear wq_, weigh_;
  size_t heads_, dim_, top_k_;
  float scale_;
};

}  // namespace sable::training
