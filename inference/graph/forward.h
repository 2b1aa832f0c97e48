// The forward pass: a batch of sequences, a few tokens each, through all layers to logits.
//
// Every row (one token of one sequence) is computed by the same operations in the same order
// whatever else is in the step, so the cut of a prompt into steps and the company of other
// sequences never show.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/graph/model.h"
#include "inference/graph/sequence_state.h"

namespace sable::inference {

/// Which of the model's roundings are carried out.
struct GraphSettings {
  CacheFormat format = CacheFormat::f32;
  bool fake_quant = true;         ///< FP8 of KV entries; Hadamard and FP4 of index queries and keys
  bool activation_quant = false;  ///< FP8 of the inputs of official FP8 and FP4 matrices
};

/// One sequence's part of a step. The state has been neither prepared nor committed.
struct StepSequence {
  SequenceState* state = nullptr;
  std::span<const int32_t> ids;  ///< the next tokens, all in the vocabulary
  bool all_logits = false;       ///< of every token; else of the last one
  bool no_logits = false;        ///< of none
};

/// What a step read from memory.
struct StepTraffic {
  uint64_t weight_bytes = 0;  ///< of weights, each counted once however many tokens met it
  uint64_t cache_bytes = 0;   ///< of index keys and entries, for each token that looked at them
  uint64_t n_experts = 0;     ///< routed experts that ran, over all layers
};

/// Sees intermediate values: a name, the layer (-1: after the layers), rows of `width` floats.
using TraceSink = std::function<void(std::string_view name, int layer,
                                     std::span<const float> values, size_t width)>;

/// For looking inside; a plain step has the defaults.
struct StepProbe {
  TraceSink trace;
  size_t layer_begin = 0, layer_end = SIZE_MAX;  ///< run these layers only
  const float* streams_in = nullptr;             ///< [rows, 4, D] in place of the embedding
  std::vector<float>* streams_out = nullptr;     ///< receives [rows, 4, D] after the last layer run
};

class Forward {
 public:
  /// All outlive it. Scratch for steps of up to rows_max tokens is allocated here.
  static Result<std::unique_ptr<Forward>> create(const Model& model, Backend& backend,
                                                 PagePool& pool, const GraphSettings& settings,
                                                 size_t rows_max);
  ~Forward();

  size_t rows_max() const;
  /// The layout of the trunk's states, and of those of the first MTP block.
  const CacheLayout& layout() const;
  const CacheLayout& mtp_layout() const;
  const GraphSettings& settings() const;
  /// Of the last step that succeeded.
  const StepTraffic& traffic() const;
  /// Of the memory that steps are computed in; allocated, but untouched before take_scratch().
  uint64_t scratch_bytes() const;
  /// Has the system hand out the scratch memory now, not page by page in the first long step. Only
  /// once it is known to fit.
  void take_scratch() const;
  /// From now on at most so many bytes of routed experts stay in memory between uses; 0: no limit.
  void limit_experts(uint64_t bytes_max);

  /// Runs one step. `logits` receives a row of vocabulary size for each token asked for, in the
  /// order of the sequences. Errors: exhausted (cache memory), cancelled (stop). After an error
  /// every state is bit for bit as before.
  Result<void> step(std::span<const StepSequence> sequences, const std::stop_token& stop,
                    std::vector<float>& logits, const StepProbe& probe = {});

  /// Runs the MTP block: row p takes the trunk's streams of position p (`streams` [n, 4, D], from
  /// StepProbe::streams_out) and the embedding of the token after it, and gives logits for the one
  /// after that. `state` has mtp_layout(). Requires model.mtp to be there.
  Result<void> draft(SequenceState& state, std::span<const float> streams,
                     std::span<const int32_t> next_ids, const std::stop_token& stop,
                     std::vector<float>& logits);

 private:
  class Pass;
  explicit Forward(std::unique_ptr<Pass> pass);
  std::unique_ptr<Pass> pass_;
};

}  // namespace sable::inference
