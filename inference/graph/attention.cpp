// Hybrid attention: a window of single tokens, and compressed entries, all (HCA) or selected ones
// (CSA).
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#include <cmath>

#include "inference/graph/pass.h"

namespace sable::inference {

void Forward::Pass::attention(const LayerWeights& layer, const float* x, float* out) {
  const RopeTable* const rope = layer.ratio == 0 ? &plain_ : &compressed_;
  const bool narrows = narrows_after_caches();
  indexes_ = layer.ratio == 4 && selects(layer.ratio);
  project_entries(layer, x, !narrows);
  if (stopped()) return;
  finish_entries(layer, *rope);
  store_window();
  if (layer.ratio > 0) {
    compress({&layer.compressor, values_.data(), gates_.data(), &LayerState::main,
              &LayerState::entries, false});
  }
  if (layer.ratio == 4) {
    compress({&layer.index_compressor, index_values_.data(), index_gates_.data(),
              &LayerState::index, &LayerState::keys, true});
  }
  if (narrows) {
    narrow();
    if (n_ == 0) return;
    jobs_.clear();
    add_query_jobs(layer, x, input(x, D_, n_, rounded_.data(), {&layer.wq_a}));
    matmul(jobs_);
    if (stopped()) return;
  }
  project_queries(layer, *rope);
  if (stopped()) return;
  if (indexes_) select_entries(layer);
  if (stopped()) return;
  gather_entries(layer);
  attend(layer, *rope, out);
}

/// What becomes of the sublayer's input in the caches: this token's entry and the compressors'
/// rows. With `queries`, their first products too, in the same go.
void Forward::Pass::project_entries(const LayerWeights& layer, const float* x, bool queries) {
  const MatrixInput in = input(x, D_, n_, rounded_.data(), {&layer.wq_a, &layer.wkv});
  jobs_.clear();
  if (queries) add_query_jobs(layer, x, in);
  jobs_.push_back(job(layer.wkv, in.for_weight(layer.wkv), kv_.data(), n_));
  if (layer.ratio > 0) {
    jobs_.push_back(job(layer.compressor.wkv, x, values_.data(), n_));
    jobs_.push_back(job(layer.compressor.wgate, x, gates_.data(), n_));
  }
  if (layer.ratio == 4) {
    jobs_.push_back(job(layer.index_compressor.wkv, x, index_values_.data(), n_));
    jobs_.push_back(job(layer.index_compressor.wgate, x, index_gates_.data(), n_));
  }
  matmul(jobs_);
}

void Forward::Pass::add_query_jobs(const LayerWeights& layer, const float* x,
                                   const MatrixInput& in) {
  jobs_.push_back(job(layer.wq_a, in.for_weight(layer.wq_a), qr_.data(), n_));
  if (indexes_) jobs_.push_back(job(layer.index_weights, x, index_weights_.data(), n_));
}

/// Whether any row of this step sees more compressed entries than it may attend to.
bool Forward::Pass::selects(size_t ratio) const {
  if (tracing()) return true;
  const auto top_k = static_cast<uint64_t>(c_.index_topk);
  for (size_t t = 0; t < n_; ++t) {
    if (visible(t, ratio) > top_k) return true;
  }
  return false;
}

void Forward::Pass::finish_entries(const LayerWeights& layer, const RopeTable& rope) {
  const size_t n_pairs = plain_theta_.size();
  backend_.norm_and_rope({.x = kv_.data(),
                          .x_stride = dim_,
                          .weight = layer.kv_norm.data(),
                          .y = kv_.data(),
                          .y_stride = dim_,
                          .n_rows = n_,
                          .n_cols = dim_,
                          .eps = static_cast<float>(c_.rms_norm_eps)},
                         {.x = kv_.data(),
                          .n_rows = n_,
                          .n_heads = 1,
                          .head_dim = dim_,
                          .n_pairs = n_pairs,
                          .cos = rope.cos,
                          .sin = rope.sin});
  if (settings_.fake_quant) {
    backend_.round({.rounding = Rounding::fp8_groups_of_64,
                    .x = kv_.data(),
                    .x_stride = dim_,
                    .y = kv_.data(),
                    .y_stride = dim_,
                    .n_rows = n_,
                    .n_cols = dim_ - 2 * n_pairs});
  }
  trace("attn.kv", kv_.data(), dim_, n_);
}

/// From their first products to the queries of the attention and of the indexer.
void Forward::Pass::project_queries(const LayerWeights& layer, const RopeTable& rope) {
  const auto eps = static_cast<float>(c_.rms_norm_eps);
  backend_.rms_norm({.x = qr_.data(),
                     .x_stride = dq_,
                     .weight = layer.q_norm.data(),
                     .y = qr_.data(),
                     .y_stride = dq_,
                     .n_rows = n_,
                     .n_cols = dq_,
                     .eps = eps});
  trace("attn.qr", qr_.data(), dq_, n_);
  const MatrixInput low = input(qr_.data(), dq_, n_, rounded_.data(), {&layer.wq_b});
  jobs_.clear();
  jobs_.push_back(job(layer.wq_b, low.for_weight(layer.wq_b), q_.data(), n_));
  if (indexes_) {
    const bool rounds =
        layer.index_wq_b.quantizes_activations() == layer.wq_b.quantizes_activations();
    const MatrixInput same =
        rounds ? low : input(qr_.data(), dq_, n_, rounded_.data(), {&layer.index_wq_b});
    jobs_.push_back(job(layer.index_wq_b, same.for_weight(layer.index_wq_b), index_q_.data(), n_));
  }
  matmul(jobs_);
  if (stopped()) return;

  backend_.norm_and_rope({.x = q_.data(),
                          .x_stride = dim_,
                          .y = q_.data(),
                          .y_stride = dim_,
                          .n_rows = n_ * H_,
                          .n_cols = dim_,
                          .eps = eps},
                         {.x = q_.data(),
                          .n_rows = n_,
                          .n_heads = H_,
                          .head_dim = dim_,
                          .n_pairs = plain_theta_.size(),
                          .cos = rope.cos,
                          .sin = rope.sin});
  trace("attn.q", q_.data(), H_ * dim_, n_);
}

void Forward::Pass::store_window() {
  destinations_.clear();
  for (const SequenceRows& s : sequences_) {
    const PageLog& window = s.state->layer(state_layer_).window;
    for (size_t i = 0; i < s.n_rows; ++i) {
      destinations_.push_back(
          window.item(s.position + i, CacheLayout::kWindowPage, layout_.entry_bytes));
    }
  }
  backend_.store_entries(settings_.format, layout_.entry_shape, kv_.data(), destinations_);
}

void Forward::Pass::finish_index_queries() {
  const size_t n_pairs = compressed_theta_.size();
  backend_.rope({.x = index_q_.data(),
                 .n_rows = n_,
                 .n_heads = hi_,
                 .head_dim = ci_,
                 .n_pairs = n_pairs,
                 .cos = compressed_.cos,
                 .sin = compressed_.sin});
  if (settings_.fake_quant) {
    backend_.round({.rounding = Rounding::hadamard_fp4,
                    .x = index_q_.data(),
                    .x_stride = ci_,
                    .y = index_q_.data(),
                    .y_stride = ci_,
                    .n_rows = n_ * hi_,
                    .n_cols = ci_});
  }
  trace("indexer.q", index_q_.data(), hi_ * ci_, n_);
  const float factor =
      1.0F / (std::sqrt(static_cast<float>(ci_)) * std::sqrt(static_cast<float>(hi_)));
  backend_.scale(index_weights_.data(), n_ * hi_, factor);
  trace("indexer.weights", index_weights_.data(), hi_, n_);
}

/// The compressed entries that each row attends to: the indexer's choice.
void Forward::Pass::select_entries(const LayerWeights& layer) {
  finish_index_queries();
  const size_t top_k = static_cast<size_t>(c_.index_topk), ratio = layer.ratio;
  const size_t in_page = CacheLayout::entries_per_page(ratio);
  selected_at_.assign(1, 0);
  for (size_t t = 0; t < n_; ++t) {
    selected_at_.push_back(selected_at_.back() + std::min<size_t>(top_k, visible(t, ratio)));
  }
  selected_.resize(selected_at_.back());
  // Addresses of the key pages, one list a sequence.
  key_pages_.clear();
  for (const SequenceRows& s : sequences_) {
    for (const PageRef& page : s.state->layer(state_layer_).keys.pages)
      key_pages_.push_back(page.data());
  }
  select_rows_.clear();
  const std::byte* const* pages = key_pages_.data();
  for (const SequenceRows& s : sequences_) {
    for (size_t t = s.first_row; t < s.first_row + s.n_rows; ++t) {
      select_rows_.push_back({.q = index_q_.data() + t * hi_ * ci_,
                              .head_weights = index_weights_.data() + t * hi_,
                              .pages = pages,
                              .n_visible = visible(t, ratio),
                              .chosen = std::span(selected_).subspan(
                                  selected_at_[t], selected_at_[t + 1] - selected_at_[t])});
    }
    pages += s.state->layer(state_layer_).keys.pages.size();
  }
  for (const SelectRow& row : select_rows_) {
    traffic_.cache_bytes += row.n_visible * layout_.key_bytes;
  }
  std::vector<float> scores;
  if (tracing()) {
    scores.resize(select_rows_.back().n_visible);
    select_rows_.back().scores = scores.data();
  }
  const SelectShape shape{.n_heads = hi_,
                          .head_dim = ci_,
                          .format = settings_.format,
                          .key_bytes = layout_.key_bytes,
                          .keys_per_page = in_page};
  backend_.select(shape, select_rows_, *stop_);
  if (tracing()) (*trace_)("indexer.score", layer_index_, scores, scores.size());
}

/// The entries that each row attends to, as addresses: its window first, then compressed ones,
/// ascending. Neighbouring rows that see all there are share theirs.
void Forward::Pass::gather_entries(const LayerWeights& layer) {
  const size_t most = indexes_ ? 1 : kGroupedQueries;
  entries_.clear();
  entries_at_.clear();
  attend_rows_.resize(n_);
  attend_groups_.clear();
  for (const SequenceRows& s : sequences_) {
    const size_t rows_end = s.first_row + s.n_rows;
    for (size_t t = s.first_row; t < rows_end; t += most) {
      const size_t end = std::min(t + most, rows_end), first = entries_.size();
      gather_group(layer, s, t, end);
      entries_at_.push_back(first);
      attend_groups_.push_back({.n_entries = entries_.size() - first,
                                .rows = std::span(attend_rows_).subspan(t, end - t)});
    }
  }
  for (size_t i = 0; i < attend_groups_.size(); ++i) {
    attend_groups_[i].entries = entries_.data() + entries_at_[i];
  }
}

/// Rows [begin, end) of a sequence.
void Forward::Pass::gather_group(const LayerWeights& layer, const SequenceRows& s, size_t begin,
                                 size_t end) {
  const size_t ratio = layer.ratio;
  const LayerState& state = s.state->layer(state_layer_);
  const size_t first = entries_.size();
  const auto window_begin = [&](size_t t) {
    const uint64_t n = positions_[t] + 1;
    return n > layout_.window ? n - layout_.window : 0;
  };
  const uint64_t from = window_begin(begin);
  for (uint64_t p = from; p <= positions_[end - 1]; ++p) {
    entries_.push_back(state.window.item(p, CacheLayout::kWindowPage, layout_.entry_bytes));
  }
  const size_t n_window = entries_.size() - first;
  const size_t in_page = ratio == 0 ? 1 : CacheLayout::entries_per_page(ratio);
  const auto add = [&](uint64_t e) {
    entries_.push_back(state.entries.item(e, in_page, layout_.entry_bytes));
  };
  if (indexes_) {
    for (size_t i = selected_at_[begin]; i < selected_at_[begin + 1]; ++i) {
      add(static_cast<uint64_t>(selected_[i]));
    }
  } else if (ratio > 0) {
    for (uint64_t e = 0; e < visible(end - 1, ratio); ++e) add(e);
  }
  for (size_t t = begin; t < end; ++t) {
    const size_t n_compressed = indexes_    ? entries_.size() - first - n_window
                                : ratio > 0 ? static_cast<size_t>(visible(t, ratio))
                                            : 0;
    attend_rows_[t] = {.q = q_.data() + t * H_ * dim_,
                       .window = {window_begin(t) - from, positions_[t] + 1 - from},
                       .compressed = {n_window, n_window + n_compressed},
                       .out = o_.data() + t * H_ * dim_};
  }
}

void Forward::Pass::attend(const LayerWeights& layer, const RopeTable& rope, float* out) {
  traffic_.cache_bytes += entries_.size() * layout_.entry_bytes;
  const AttendShape shape{.n_heads = H_,
                          .head_dim = dim_,
                          .format = settings_.format,
                          .packed = layout_.entry_shape,
                          .scale = 1.0F / std::sqrt(static_cast<float>(dim_)),
                          .sinks = layer.attn_sink.data()};
  backend_.attend(shape, attend_groups_, *stop_);
  if (stopped()) return;
  trace("attn.o_before_derotation", o_.data(), H_ * dim_, n_);
  backend_.rope({.x = o_.data(),
                 .n_rows = n_,
                 .n_heads = H_,
                 .head_dim = dim_,
                 .n_pairs = plain_theta_.size(),
                 .cos = rope.cos,
                 .sin = rope.sin,
                 .inverse = true});
  trace("attn.o", o_.data(), H_ * dim_, n_);

  // Block-diagonal: group i of the heads meets rows i*do .. of wo_a.
  const auto n_groups = static_cast<size_t>(c_.o_groups), rank = low_ / n_groups;
  jobs_.clear();
  for (size_t i = 0; i < n_groups; ++i) {
    jobs_.push_back({.weight = &layer.wo_a,
                     .row_begin = i * rank,
                     .n_rows = rank,
                     .x = o_.data() + i * layer.wo_a.cols,
                     .x_stride = H_ * dim_,
                     .y = z_.data() + i * rank,
                     .y_stride = low_,
                     .n_tokens = n_});
  }
  matmul(jobs_);
  if (stopped()) return;
  trace("attn.wo_a_out", z_.data(), low_, n_);
  const MatrixInput in = input(z_.data(), low_, n_, rounded_.data(), {&layer.wo_b});
  matmul({job(layer.wo_b, in.for_weight(layer.wo_b), out, n_)});
}

}  // namespace sable::inference
