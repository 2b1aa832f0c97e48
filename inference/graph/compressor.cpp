// Pools blocks of tokens into compressed entries, streaming: a step takes the rows that earlier
// steps left unfinished, emits every block that completes, and leaves the rest for the next one.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#include "inference/graph/pass.h"

namespace sable::inference {

namespace {

/// Where the row of token `t` lies: in this step's scratch, or in the state that earlier steps
/// left.
struct RowFinder {
  const float* values;  // this step's rows
  const float* gates;
  const float* set;   // the state's rows; may be null when none is needed
  uint64_t position;  // of this step's first row
  size_t ratio, width;

  float const* stored(uint64_t t) const {
    const bool previous = t / ratio != position / ratio;
    const size_t row = t % ratio + (previous ? 0 : CacheLayout::previous_rows(ratio));
    return set + row * 2 * width;
  }
  const float* value(uint64_t t) const {
    return t >= position ? values + (t - position) * width : stored(t);
  }
  const float* gate(uint64_t t) const {
    return t >= position ? gates + (t - position) * width : stored(t) + width;
  }
};

const float* current_set(const CompressorState& state) {
  const PageRef& set = state.sets[state.current];
  return set ? reinterpret_cast<const float*>(set.data()) : nullptr;
}

}  // namespace

void Forward::Pass::compress(const Compression& what) {
  const CompressorWeights& w = *what.weights;
  row_pointers_.clear();
  for (const uint64_t p : positions_) row_pointers_.push_back(w.ape.data() + p % w.ratio * w.width);
  backend_.add_rows(what.gates, w.width, w.width, row_pointers_);

  collect_blocks(what);
  const size_t n = pool_jobs_.size();
  if (n > 0) {
    const size_t n_pairs = compressed_theta_.size();
    float* const e = pooled_.data();
    backend_.pool(pool_jobs_, w.dim);
    const RopeTable rope = rope_table(entry_positions_, compressed_theta_, entry_rope_);
    backend_.norm_and_rope({.x = e,
                            .x_stride = w.dim,
                            .weight = w.norm.data(),
                            .y = e,
                            .y_stride = w.dim,
                            .n_rows = n,
                            .n_cols = w.dim,
                            .eps = static_cast<float>(c_.rms_norm_eps)},
                           {.x = e,
                            .n_rows = n,
                            .head_dim = w.dim,
                            .n_pairs = n_pairs,
                            .cos = rope.cos,
                            .sin = rope.sin});
    if (settings_.fake_quant) {
      backend_.round({.rounding = what.keys ? Rounding::hadamard_fp4 : Rounding::fp8_groups_of_64,
                      .x = e,
                      .x_stride = w.dim,
                      .y = e,
                      .y_stride = w.dim,
                      .n_rows = n,
                      .n_cols = what.keys ? w.dim : w.dim - 2 * n_pairs});
    }
    if (what.keys) {
      backend_.store_keys(settings_.format, w.dim, e, destinations_);
    } else {
      backend_.store_entries(settings_.format, layout_.entry_shape, e, destinations_);
    }
    trace(what.keys ? "indexer.new_keys" : "compressor.new_entries", e, w.dim, n);
  }
  for (const SequenceRows& rows : sequences_) carry_over(what, rows);
}

/// Fills pool_jobs_, entry_positions_ and destinations_ with every block that this step completes.
void Forward::Pass::collect_blocks(const Compression& what) {
  const CompressorWeights& w = *what.weights;
  const size_t ratio = w.ratio, n_slots_max = w.overlaps() ? 2 * ratio : ratio;
  const size_t in_page = CacheLayout::entries_per_page(ratio);
  const size_t item_bytes = what.keys ? layout_.key_bytes : layout_.entry_bytes;
  pool_jobs_.clear();
  entry_positions_.clear();
  destinations_.clear();
  slots_.clear();
  slots_.reserve(2 * n_slots_max * n_);  // addresses of its elements are taken below
  for (const SequenceRows& rows : sequences_) {
    const LayerState& layer = rows.state->layer(state_layer_);
    const size_t first = rows.first_row * w.width;
    const RowFinder find{what.values + first,
                         what.gates + first,
                         current_set(layer.*what.state),
                         rows.position,
                         ratio,
                         w.width};
    const uint64_t end = (rows.position + rows.n_rows) / ratio;
    for (uint64_t s = rows.position / ratio; s < end; ++s) {
      // With overlap: the previous block's low halves, then this block's high halves.
      const uint64_t from = w.overlaps() && s > 0 ? (s - 1) * ratio : s * ratio;
      const size_t n_slots = (s + 1) * ratio - from;
      const size_t at = slots_.size();
      for (const bool gates : {false, true}) {
        for (uint64_t t = from; t < (s + 1) * ratio; ++t) {
          const size_t half = w.overlaps() && t >= s * ratio ? w.dim : 0;
          slots_.push_back((gates ? find.gate(t) : find.value(t)) + half);
        }
      }
      pool_jobs_.push_back({.values = slots_.data() + at,
                            .gates = slots_.data() + at + n_slots,
                            .n_slots = n_slots,
                            .out = pooled_.data() + pool_jobs_.size() * w.dim});
      entry_positions_.push_back(s * ratio);
      destinations_.push_back((layer.*what.log).item(s, in_page, item_bytes));
    }
  }
}

/// Leaves the rows that later steps need: behind those of the current block, or, when this step
/// finished it, in the other set.
void Forward::Pass::carry_over(const Compression& what, const SequenceRows& rows) {
  const CompressorWeights& w = *what.weights;
  const size_t ratio = w.ratio, n_previous = CacheLayout::previous_rows(ratio);
  const size_t row_bytes = w.width * sizeof(float), first = rows.first_row * w.width;
  const CompressorState& state = rows.state->layer(state_layer_).*what.state;
  const RowFinder find{
      what.values + first, what.gates + first, current_set(state), rows.position, ratio, w.width};
  const uint64_t end = rows.position + rows.n_rows, block = end / ratio * ratio;
  const bool leaves = leaves_block(rows.position, rows.n_rows, ratio);
  auto* const set =
      reinterpret_cast<float*>(state.sets[leaves ? 1 - state.current : state.current].data());
  const auto keep = [&](size_t row, uint64_t t) {
    backend_.copy(set + row * 2 * w.width, find.value(t), row_bytes);
    backend_.copy(set + row * 2 * w.width + w.width, find.gate(t), row_bytes);
  };
  for (size_t i = 0; leaves && i < n_previous; ++i) keep(i, block - ratio + i);
  for (uint64_t t = leaves ? block : rows.position; t < end; ++t) keep(n_previous + t % ratio, t);
}

}  // namespace sable::inference
