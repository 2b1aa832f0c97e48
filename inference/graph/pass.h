// Inside the forward pass: the rows of one step, the scratch they are computed in, and the
// sublayers.
#pragma once

#include <algorithm>
#include <vector>

#include "inference/graph/expert_residency.h"
#include "inference/graph/forward.h"

namespace sable::inference {

/// Uninitialised floats in the backend's memory.
class Scratch {
 public:
  Scratch(Backend& backend, size_t n)
      : backend_(&backend),
        n_(n),
        data_(static_cast<float*>(backend.allocate(n * sizeof(float)))) {}
  ~Scratch() {
    if (data_ != nullptr) backend_->release(data_, n_ * sizeof(float));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return data_; }
  uint64_t bytes() const { return n_ * sizeof(float); }
  bool there() const { return data_ != nullptr; }
  void clear() const { backend_->clear(data_, bytes()); }

 private:
  Backend* backend_;
  size_t n_;
  float* data_;
};

/// One sequence's rows in a step: tokens at positions position .. position + n_rows - 1.
struct SequenceRows {
  SequenceState* state;
  size_t first_row, n_rows;
  uint64_t position;
};

/// cos and sin for each row of something, [n_rows, n_pairs] each.
struct RopeTable {
  const float* cos;
  const float* sin;
};

/// A matrix input in two forms: as it is, and as the official kernels round it.
struct MatrixInput {
  const float* plain;
  const float* rounded;
  const float* for_weight(const Weight& w) const {
    return w.quantizes_activations() ? rounded : plain;
  }
};

class Forward::Pass {
 public:
  static Result<std::unique_ptr<Pass>> create(const Model& model, Backend& backend, PagePool& pool,
                                              const GraphSettings& settings, size_t rows_max);

  Result<void> step(std::span<const StepSequence> sequences, const std::stop_token& stop,
                    std::vector<float>& logits, const StepProbe& probe);
  Result<void> draft(SequenceState& state, std::span<const float> streams,
                     std::span<const int32_t> next_ids, const std::stop_token& stop,
                     std::vector<float>& logits);

  const Model& model_;
  const ModelConfig& c_;
  Backend& backend_;
  PagePool& pool_;
  const GraphSettings settings_;
  const size_t rows_max_;
  const CacheLayout layout_, mtp_layout_;
  StepTraffic traffic_;
  ExpertResidency residency_;
  uint64_t scratch_bytes() const;
  void take_scratch() const;

 private:
  Pass(const Model& model, Backend& backend, PagePool& pool, const GraphSettings& settings,
       size_t rows_max);

  /// Every scratch memory below.
  std::vector<const Scratch*> scratch() const;

  // forward.cpp
  void begin(std::span<const SequenceRows> rows, const std::stop_token& stop,
             const TraceSink* trace);
  void run_layer(const LayerWeights& layer, int index);
  /// What the sublayer gave goes to the streams: when they are mixed next, which spares a pass over
  /// them, or now where that is traced.
  void give_to_streams(const char* name);
  void settle_streams();
  /// Whether this layer needs the rows without logits for its caches only.
  bool narrows_after_caches() const { return is_last_ && wanted_.size() < n_; }
  /// From here on the rows of this step are those whose logits are wanted.
  void narrow();
  void head(const HeadWeights& weights, std::span<const size_t> rows, std::vector<float>& logits);
  bool stopped() const { return stop_->stop_requested(); }
  void trace(const char* name, const float* values, size_t width, size_t n_rows);
  bool tracing() const { return trace_ != nullptr && *trace_; }
  MatrixInput input(const float* x, size_t cols, size_t n, float* rounded,
                    std::initializer_list<const Weight*> weights);
  MatmulJob job(const Weight& w, const float* x, float* y, size_t n) const;
  void matmul(std::span<const MatmulJob> jobs);
  void matmul(std::initializer_list<MatmulJob> jobs) {
    matmul(std::span<const MatmulJob>(jobs.begin(), jobs.size()));
  }
  RopeTable rope_table(std::span<const uint64_t> positions, std::span<const float> theta,
                       Scratch& table);

  // attention.cpp
  void attention(const LayerWeights& layer, const float* x, float* out);
  void project_entries(const LayerWeights& layer, const float* x, bool queries);
  void add_query_jobs(const LayerWeights& layer, const float* x, const MatrixInput& in);
  void finish_entries(const LayerWeights& layer, const RopeTable& rope);
  void project_queries(const LayerWeights& layer, const RopeTable& rope);
  bool selects(size_t ratio) const;
  void finish_index_queries();
  void store_window();
  void select_entries(const LayerWeights& layer);
  void gather_entries(const LayerWeights& layer);
  void gather_group(const LayerWeights& layer, const SequenceRows& s, size_t begin, size_t end);
  void attend(const LayerWeights& layer, const RopeTable& rope, float* out);
  uint64_t visible(size_t row, size_t ratio) const { return (positions_[row] + 1) / ratio; }

  // compressor.cpp
  struct Compression {
    const CompressorWeights* weights;
    float* values;  ///< [rows, width]: wkv x
    float* gates;   ///< [rows, width]: wgate x
    CompressorState LayerState::*state;
    PageLog LayerState::*log;
    bool keys;  ///< index keys rather than entries
  };
  void compress(const Compression& what);
  void collect_blocks(const Compression& what);
  void carry_over(const Compression& what, const SequenceRows& rows);

  // experts.cpp
  void experts(const LayerWeights& layer, const float* x, float* out);
  void choose_experts(const LayerWeights& layer, const float* x, const MatrixInput& in);
  void run_experts(const LayerWeights& layer, const MatrixInput& in);

  const size_t D_, dq_, H_, dim_, hi_, ci_, K_, E_, F_, shared_F_, low_;
  const std::vector<float> plain_theta_, compressed_theta_;

  // Scratch, named after what it holds; [rows_max, ...].
  Scratch streams_, y_, normed_, rounded_, post_, comb_, sublayer_;
  Scratch qr_, q_, kv_, o_, z_;
  Scratch values_, gates_, index_values_, index_gates_, pooled_;
  Scratch index_q_, index_weights_;
  Scratch plain_rope_, compressed_rope_, entry_rope_;
  Scratch router_, gate_, up_, expert_out_, shared_gate_, shared_up_, shared_out_, inner_;
  Scratch picked_, picked_y_, logits_;

  // The step being computed.
  std::vector<SequenceRows> sequences_;
  std::vector<uint64_t> positions_;
  std::vector<int32_t> ids_;
  std::vector<size_t> wanted_;  // rows whose logits are, ascending
  bool is_last_ = false;        // nothing but logits comes after this layer
  bool indexes_ = false;        // the indexer has something to choose in this layer
  StreamUpdate update_;         // not yet in the streams
  size_t n_ = 0;
  size_t state_layer_ = 0;  // where this layer's caches are in each state
  int layer_index_ = 0;     // for traces
  const std::stop_token* stop_ = nullptr;
  const TraceSink* trace_ = nullptr;
  RopeTable plain_{}, compressed_{};

  // Tables that grow to their largest size and stay.
  std::vector<const std::byte*> entries_, key_pages_;
  std::vector<size_t> entries_at_;
  std::vector<int32_t> selected_;
  std::vector<size_t> selected_at_;
  std::vector<SelectRow> select_rows_;
  std::vector<AttendRow> attend_rows_;
  std::vector<AttendGroup> attend_groups_;
  std::vector<std::byte*> destinations_;
  std::vector<const float*> slots_, row_pointers_;
  std::vector<PoolJob> pool_jobs_;
  std::vector<uint64_t> entry_positions_;
  std::vector<int32_t> chosen_;
  std::vector<float> chosen_weights_, slot_weights_, angles_;
  std::vector<size_t> slot_of_, expert_begin_;
  std::vector<MatmulJob> jobs_;
};

}  // namespace sable::inference
