// Hybrid attention of one layer, forwards and backwards, over a whole sequence from position 0: a
// window of single tokens and, by the layer's kind, all or selected compressed entries.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "training/compressor.h"
#include "training/indexer.h"
#include "training/linear.h"
#include "training/rows.h"

namespace sable::training {

/// The angles that a sequence needs, for layers without (plain) and with compression.
struct SequenceRotations {
  Rotations plain, compressed;       ///< by token
  Rotations entries_4, entries_128;  ///< by entry: positions of first tokens

  void fill(const ModelConfig& config, size_t n_tokens);
};

/// What the way back needs of one layer.
struct AttentionState {
  std::vector<float> input, low;          ///< rounded inputs of wq_a and wkv, of wq_b
  std::vector<float> qr_raw, qr, qr_r;    ///< low-rank queries around their norm
  std::vector<float> q, q_r;              ///< [n, H, c], turned
  std::vector<float> kv_raw, kv, kv_r;    ///< [n, c]
  std::vector<float> kv_transposed;       ///< [c, n]
  std::vector<float> entries_transposed;  ///< [c, n_entries]
  CompressorState compressor;
  IndexerState indexer;
  std::vector<float> probabilities;  ///< block by block, [tokens, H, keys]
  std::vector<float> sink;           ///< the sink's share [n, H]
  std::vector<float> o;              ///< [n, H, c], turned back
  std::vector<float> z, z_rounded;   ///< [n, groups * rank]
  double index_loss = 0;             ///< summed over queries that have a choice
  size_t n_index_queries = 0;
};

/// Scratch of the way back, shared by layers.
struct AttentionWork {
  std::vector<float> dz, d_o, dq, dqr, dkv, dentries, dscores, dots, more;
};

class Attention {
 public:
  Attention(const Parameters& parameters, const LayerAt& layer, const Pointers& pointers,
            const Roundings& roundings);

  /// out [n, D] from x [n, D]. With a positive index_scale the indexer's loss is taken and its
  /// gradient, times index_scale a query, kept for backward().
  void forward(size_t n, const float* x, const SequenceRotations& rotations, float index_scale,
               AttentionState& state, float* out) const;
  /// dx [n, D] is replaced.
  void backward(size_t n, const float* x, const SequenceRotations& rotations, AttentionState& state,
                const float* dout, float* dx, AttentionWork& work) const;

 private:
  /// A run of queries and the keys that any of them sees.
  struct Block {
    size_t begin, end;  // tokens
    size_t first_key;   // of the window
    size_t n_window, n_entries;
    size_t stride;  // of a row of scores
    size_t at;      // in AttentionState::probabilities
  };
  std::vector<Block> blocks(size_t n) const;
  void project(size_t n, const float* x, const Rotations& turn, AttentionState& s) const;
  void attend(const Block& block, float index_scale, AttentionState& s) const;
  void weigh(const Block& block, size_t t, float index_scale, AttentionState& s) const;
  void attend_backward(const Block& block, AttentionState& s, AttentionWork& work) const;
  void project_backward(size_t n, const float* x, const Rotations& turn, const AttentionState& s,
                        float* dx, AttentionWork& work) const;
  const Rotations& entry_rotations(const SequenceRotations& r) const {
    return layer_.ratio == 4 ? r.entries_4 : r.entries_128;
  }
  const Rotations& token_rotations(const SequenceRotations& r) const {
    return layer_.ratio == 0 ? r.plain : r.compressed;
  }

  const Pointers p_;
  const LayerAt& layer_;
  const Roundings& roundings_;
  std::optional<Compressor> compressor_;
  std::optional<Indexer> indexer_;
  size_t D_, H_, c_, dq_, groups_, rank_, window_;
  float eps_, scale_;
};

}  // namespace sable::training
