// Every trained number of a model in one flat array: names, shapes, and how each matrix is updated
// and stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/inference.h"

namespace sable::training {

using inference::Checkpoint;
using inference::ModelConfig;

/// Residual streams (hc_mult): the only number that the kernels are written for.
inline constexpr size_t kStreamCount = 4;

/// How an optimiser treats a tensor.
enum class Update {
  muon,     ///< matrices between hidden activations
  adamw,    ///< tables, vectors, and small matrices that steer
  balance,  ///< selection biases of routers: moved towards equal load, never by a gradient
};

/// How the shipped checkpoint stores a tensor.
enum class Stored {
  f32,
  bf16,
  fp8,  ///< E4M3 with one power-of-two scale per 128x128 block
  fp4,  ///< E2M1 with one power-of-two scale per 32 numbers of a row
};

/// One tensor, row-major [rows, cols] from `offset` on. Names are those of official checkpoints.
struct Parameter {
  std::string name;
  size_t rows = 1, cols = 0, offset = 0;
  Update update = Update::adamw;
  Stored stored = Stored::f32;
  bool decays = false;
  size_t blocks = 1;     ///< independent bands of rows (groups of wo_a), each updated on its own
  bool indexer = false;  ///< learns from the indexer's own loss
  std::vector<uint64_t> shape;

  size_t size() const { return rows * cols; }
};

struct ExpertAt {
  size_t w1, w2, w3;
};
struct SiteAt {
  size_t fn, base, scale;
};
struct CompressorAt {
  size_t wkv, wgate, ape, norm;
  size_t ratio, dim, width;  ///< width: 2 * dim with overlap
};

/// Offsets of one layer's tensors; those that its kind has not are 0.
struct LayerAt {
  size_t ratio = 0;
  bool hashed = false;
  size_t attn_norm, ffn_norm, wq_a, q_norm, wq_b, wkv, kv_norm, sink, wo_a, wo_b;
  SiteAt attn_site, ffn_site;
  CompressorAt compressor{}, index_compressor{};
  size_t index_wq_b = 0, index_weights = 0;
  size_t router = 0, router_bias = 0;
  std::vector<ExpertAt> experts;
  ExpertAt shared;
  std::vector<int32_t> experts_of_token;  ///< [vocab, K] ascending, when hashed
};

/// The layout of a model. Offsets are multiples of 16 numbers. Immutable.
class Parameters {
 public:
  /// invalid_input for a configuration that the trainer does not know: hc_mult other than 4, MTP
  /// blocks, odd sizes.
  static Result<Parameters> of(const ModelConfig& config);

  const ModelConfig& config() const { return config_; }
  const std::vector<Parameter>& list() const { return list_; }
  const Parameter* find(std::string_view name) const;
  size_t size() const { return size_; }  ///< of the flat array, padding included

  std::vector<LayerAt> layers;
  size_t embed = 0, head = 0, norm = 0;
  SiteAt head_site{};

  /// Numbers that one token touches: everything but the embedding table and the experts it skips.
  size_t active() const;
  size_t total() const;          ///< without padding
  size_t shipped_bytes() const;  ///< of the tensors as the shipped checkpoint stores them

 private:
  size_t add(Parameter parameter);
  void add_layer(size_t index);
  CompressorAt add_compressor(const std::string& prefix, size_t ratio, size_t dim, bool indexer);
  ExpertAt add_expert(const std::string& prefix, Stored stored);

  ModelConfig config_;
  std::vector<Parameter> list_;
  size_t size_ = 0;
};

/// Fresh values: a function of the seed and each tensor's name alone.
std::vector<float> initial_values(const Parameters& parameters, uint64_t seed);

/// The values of an opened checkpoint, whatever its formats, in the order of `parameters`; also
/// replaces the token tables of hashed layers. Errors name the tensor that is missing or differs.
Result<std::vector<float>> values_of(const Checkpoint& checkpoint, Parameters& parameters);

}  // namespace sable::training
