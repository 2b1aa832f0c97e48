// The weights of a checkpoint, bound to their places in the graph.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "inference/files/checkpoint.h"
#include "inference/kernels/backend.h"

namespace sable::inference {

/// Floats in the backend's memory: norms, biases and the like, decoded once.
class Vector {
 public:
  Vector() = default;
  Vector(Backend& backend, std::span<const float> values);
  Vector(Vector&& other) noexcept { *this = std::move(other); }
  Vector& operator=(Vector&& other) noexcept;
  ~Vector();

  const float* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  Backend* backend_ = nullptr;
  float* data_ = nullptr;
  size_t size_ = 0;
};

struct SiteWeights {
  Weight fn;           ///< [24, 4D]; the head's [4, 4D]
  Vector base, scale;  ///< [24] and [3]; the head's [4] and [1]
  StreamSite view() const { return {&fn, base.data(), scale.data()}; }
};

/// Turns blocks of `ratio` tokens into one entry of `dim`; with overlap (ratio 4) two halves a
/// token.
struct CompressorWeights {
  Weight wkv, wgate;  ///< [width, D], width = dim, or 2 * dim with overlap
  Vector ape;         ///< [ratio, width]
  Vector norm;        ///< [dim]
  size_t ratio = 0, dim = 0, width = 0;
  bool overlaps() const { return width != dim; }
};

struct ExpertWeights {
  Weight w1, w3;  ///< [F, D] gate and up
  Weight w2;      ///< [D, F] down
};

/// One block: attention and feed-forward, each with its mHC site.
struct LayerWeights {
  size_t ratio = 0;  ///< 0 window only, 4 CSA, 128 HCA
  SiteWeights attn_hc, ffn_hc;
  Vector attn_norm, ffn_norm;  ///< [D]

  Weight wq_a;       ///< [dq, D]
  Vector q_norm;     ///< [dq]
  Weight wq_b;       ///< [H*c, dq]
  Weight wkv;        ///< [c, D]
  Vector kv_norm;    ///< [c]
  Vector attn_sink;  ///< [H]
  Weight wo_a;       ///< [g*do, H*c/g], block-diagonal
  Weight wo_b;       ///< [D, g*do]

  CompressorWeights compressor;        ///< ratio > 0
  CompressorWeights index_compressor;  ///< ratio 4
  Weight index_wq_b;                   ///< [hi*ci, dq]
  Weight index_weights;                ///< [hi, D]

  Weight gate;                   ///< [E, D]
  Vector gate_bias;              ///< [E]; empty on hash-routed layers
  std::vector<int32_t> tid2eid;  ///< [V, K] on hash-routed layers, else empty
  std::vector<ExpertWeights> experts;
  ExpertWeights shared;
};

/// Streams to logits: used once for the trunk, once for each MTP block.
struct HeadWeights {
  SiteWeights hc;
  Vector norm;  ///< [D]
};

/// A block that drafts the token after the next one from the trunk's streams.
struct MtpWeights {
  LayerWeights block;
  Weight e_proj, h_proj;  ///< [D, D]
  Vector enorm, hnorm;    ///< [D]
  HeadWeights head;
};

/// Immutable once loaded. The backend outlives it; the checkpoint is shared, its bytes stay mapped.
class Model {
 public:
  /// Finds every tensor and checks its shape. Errors name the tensor.
  static Result<std::unique_ptr<Model>> load(std::shared_ptr<const Checkpoint> checkpoint,
                                             Backend& backend);

  const ModelConfig& config() const { return checkpoint_->config(); }
  const Checkpoint& checkpoint() const { return *checkpoint_; }

  Weight embed;  ///< [V, D]
  Weight head;   ///< [V, D]
  HeadWeights trunk_head;
  std::vector<LayerWeights> layers;
  std::vector<MtpWeights> mtp;

 private:
  explicit Model(std::shared_ptr<const Checkpoint> checkpoint)
      : checkpoint_(std::move(checkpoint)) {}

  std::shared_ptr<const Checkpoint> checkpoint_;
};

}  // namespace sable::inference
