#include "inference/graph/forward.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "inference/graph/pass.h"
#include "inference/kernels/rope.h"

namespace sable::inference {

namespace {

// Rows of logits computed at a time; bounds the scratch, which is a vocabulary wide.
constexpr size_t kLogitRows = 16;

std::vector<size_t> trunk_ratios(const ModelConfig& c) {
  const auto end = c.compress_ratios.begin() + c.num_hidden_layers;
  return {c.compress_ratios.begin(), end};
}

std::vector<size_t> mtp_ratios(const Model& model) {
  std::vector<size_t> ratios;
  for (const MtpWeights& mtp : model.mtp) ratios.push_back(mtp.block.ratio);
  return ratios;
}

size_t u(int64_t n) { return static_cast<size_t>(n); }

}  // namespace

Forward::Pass::Pass(const Model& model, Backend& backend, PagePool& pool,
                    const GraphSettings& settings, size_t rows_max)
    : model_(model),
      c_(model.config()),
      backend_(backend),
      pool_(pool),
      settings_(settings),
      rows_max_(rows_max),
      layout_(c_, settings.format, trunk_ratios(c_)),
      mtp_layout_(c_, settings.format, mtp_ratios(model)),
      residency_(model.checkpoint()),
      D_(u(c_.hidden_size)),
      dq_(u(c_.q_lora_rank)),
      H_(u(c_.num_attention_heads)),
      dim_(u(c_.head_dim)),
      hi_(u(c_.index_n_heads)),
      ci_(u(c_.index_head_dim)),
      K_(u(c_.num_experts_per_tok)),
      E_(u(c_.n_routed_experts)),
      F_(u(c_.moe_intermediate_size)),
      shared_F_(u(c_.moe_intermediate_size * c_.n_shared_experts)),
      low_(u(c_.o_groups * c_.o_lora_rank)),
      plain_theta_(plain_rope_frequencies(c_)),
      compressed_theta_(compressed_rope_frequencies(c_)),
      streams_(backend, rows_max * kStreams * D_),
      y_(backend, rows_max * D_),
      normed_(backend, rows_max * D_),
      rounded_(backend, rows_max * std::max({D_, dq_, low_})),
      post_(backend, rows_max * kStreams),
      comb_(backend, rows_max * kStreams * kStreams),
      sublayer_(backend, rows_max * D_),
      qr_(backend, rows_max * dq_),
      q_(backend, rows_max * H_ * dim_),
      kv_(backend, rows_max * dim_),
      o_(backend, rows_max * H_ * dim_),
      z_(backend, rows_max * low_),
      values_(backend, rows_max * 2 * dim_),
      gates_(backend, rows_max * 2 * dim_),
      index_values_(backend, rows_max * 2 * ci_),
      index_gates_(backend, rows_max * 2 * ci_),
      pooled_(backend, rows_max * std::max(dim_, ci_)),
      index_q_(backend, rows_max * hi_ * ci_),
      index_weights_(backend, rows_max * hi_),
      plain_rope_(backend, rows_max * 2 * plain_theta_.size()),
      compressed_rope_(backend, rows_max * 2 * plain_theta_.size()),
      entry_rope_(backend, rows_max * 2 * plain_theta_.size()),
      router_(backend, rows_max * E_),
      gate_(backend, rows_max * K_ * F_),
      up_(backend, rows_max * K_ * F_),
      expert_out_(backend, rows_max * K_ * D_),
      shared_gate_(backend, rows_max * shared_F_),
      shared_up_(backend, rows_max * shared_F_),
      shared_out_(backend, rows_max * D_),
      inner_(backend, rows_max * std::max(K_ * F_, shared_F_)),
      picked_(backend, kLogitRows * kStreams * D_),
      picked_y_(backend, kLogitRows * D_),
      logits_(backend, kLogitRows * u(c_.vocab_size)) {}

Result<std::unique_ptr<Forward::Pass>> Forward::Pass::create(const Model& model, Backend& backend,
                                                             PagePool& pool,
                                                             const GraphSettings& settings,
                                                             size_t rows_max) {
  SABLE_CHECK(rows_max > 0);
  if (settings.format != CacheFormat::f32 && !settings.fake_quant) {
    return fail(
        ErrorCode::invalid_input,
        "packed caches hold FP8 and FP4 values, so fake quantisation cannot be off with them");
  }
  std::unique_ptr<Pass> pass(new Pass(model, backend, pool, settings, rows_max));
  for (const Scratch* s : pass->scratch()) {
    if (!s->there()) return fail(ErrorCode::exhausted, "no memory for the scratch of one step");
  }
  return pass;
}

std::vector<const Scratch*> Forward::Pass::scratch() const {
  return {&streams_,
          &y_,
          &normed_,
          &rounded_,
          &post_,
          &comb_,
          &sublayer_,
          &qr_,
          &q_,
          &kv_,
          &o_,
          &z_,
          &values_,
          &gates_,
          &index_values_,
          &index_gates_,
          &pooled_,
          &index_q_,
          &index_weights_,
          &plain_rope_,
          &compressed_rope_,
          &entry_rope_,
          &router_,
          &gate_,
          &up_,
          &expert_out_,
          &shared_gate_,
          &shared_up_,
          &shared_out_,
          &inner_,
          &picked_,
          &picked_y_,
          &logits_};
}

void Forward::Pass::take_scratch() const {
  for (const Scratch* s : scratch()) s->clear();
}

uint64_t Forward::Pass::scratch_bytes() const {
  uint64_t bytes = 0;
  for (const Scratch* s : scratch()) bytes += s->bytes();
  return bytes;
}

void Forward::Pass::trace(const char* name, const float* values, size_t width, size_t n_rows) {
  if (!tracing()) return;
  std::vector<float> host(width * n_rows);
  backend_.copy(host.data(), values, host.size() * sizeof(float));
  (*trace_)(name, layer_index_, host, width);
}

MatrixInput Forward::Pass::input(const float* x, size_t cols, size_t n, float* rounded,
                                 std::initializer_list<const Weight*> weights) {
  const bool rounds = std::any_of(weights.begin(), weights.end(),
                                  [](const Weight* w) { return w->quantizes_activations(); });
  if (!settings_.activation_quant || !rounds) return {x, x};
  backend_.round({.rounding = Rounding::fp8_groups_of_128,
                  .x = x,
                  .x_stride = cols,
                  .y = rounded,
                  .y_stride = cols,
                  .n_rows = n,
                  .n_cols = cols});
  return {x, rounded};
}

MatmulJob Forward::Pass::job(const Weight& w, const float* x, float* y, size_t n) const {
  return {.weight = &w,
          .n_rows = w.rows,
          .x = x,
          .x_stride = w.cols,
          .y = y,
          .y_stride = w.rows,
          .n_tokens = n};
}

void Forward::Pass::matmul(std::span<const MatmulJob> jobs) {
  for (const MatmulJob& job : jobs) traffic_.weight_bytes += job.weight->bytes_of_rows(job.n_rows);
  backend_.matmul(jobs, *stop_);
}

RopeTable Forward::Pass::rope_table(std::span<const uint64_t> positions,
                                    std::span<const float> theta, Scratch& table) {
  const size_t n = positions.size() * theta.size();
  angles_.resize(2 * n);
  const std::span<float> cos(angles_.data(), n), sin(angles_.data() + n, n);
  for (size_t i = 0; i < positions.size(); ++i) {
    const size_t at = i * theta.size();
    rope_angles(positions[i], theta, cos.subspan(at, theta.size()), sin.subspan(at, theta.size()));
  }
  backend_.copy(table.data(), angles_.data(), 2 * n * sizeof(float));
  return {table.data(), table.data() + n};
}

void Forward::Pass::begin(std::span<const SequenceRows> rows, const std::stop_token& stop,
                          const TraceSink* trace) {
  sequences_.assign(rows.begin(), rows.end());
  stop_ = &stop;
  trace_ = trace;
  positions_.clear();
  for (const SequenceRows& s : sequences_) {
    for (size_t i = 0; i < s.n_rows; ++i) positions_.push_back(s.position + i);
  }
  n_ = positions_.size();
  update_ = {};
  traffic_ = {.weight_bytes = n_ * model_.embed.bytes_of_rows(1)};
  plain_ = rope_table(positions_, plain_theta_, plain_rope_);
  compressed_ = rope_table(positions_, compressed_theta_, compressed_rope_);
}

void Forward::Pass::run_layer(const LayerWeights& layer, int index) {
  layer_index_ = index;
  const StreamMixSettings mixing{.sinkhorn_iterations = static_cast<int>(c_.hc_sinkhorn_iters),
                                 .eps = static_cast<float>(c_.hc_eps)};
  const auto eps = static_cast<float>(c_.rms_norm_eps);
  const size_t width = kStreams * D_;
  const auto site = [&](const StreamSite& weights, const Vector& norm, const char* const names[4]) {
    traffic_.weight_bytes += weights.fn->bytes_of_rows(weights.fn->rows);
    trace(names[0], streams_.data(), width, n_);
    backend_.mix_streams(weights, mixing, eps, update_, streams_.data(), n_, D_, post_.data(),
                         comb_.data(), y_.data());
    update_ = {};
    trace(names[1], post_.data(), kStreams, n_);
    trace(names[2], comb_.data(), kStreams * kStreams, n_);
    trace(names[3], y_.data(), D_, n_);
    backend_.rms_norm({.x = y_.data(),
                       .x_stride = D_,
                       .weight = norm.data(),
                       .y = normed_.data(),
                       .y_stride = D_,
                       .n_rows = n_,
                       .n_cols = D_,
                       .eps = eps});
  };
  static constexpr const char* kAttn[] = {"attn_hc.streams_in", "attn_hc.post", "attn_hc.comb",
                                          "attn_hc.y"};
  static constexpr const char* kFfn[] = {"ffn_hc.streams_in", "ffn_hc.post", "ffn_hc.comb",
                                         "ffn_hc.y"};

  site(layer.attn_hc.view(), layer.attn_norm, kAttn);
  trace("attn_norm", normed_.data(), D_, n_);
  attention(layer, normed_.data(), sublayer_.data());
  if (stopped() || n_ == 0) return;
  trace("attn.output", sublayer_.data(), D_, n_);
  give_to_streams("attn_hc.streams_out");

  site(layer.ffn_hc.view(), layer.ffn_norm, kFfn);
  trace("ffn_norm", normed_.data(), D_, n_);
  experts(layer, normed_.data(), sublayer_.data());
  if (stopped()) return;
  trace("ffn.output", sublayer_.data(), D_, n_);
  give_to_streams("ffn_hc.streams_out");
}

void Forward::Pass::give_to_streams(const char* name) {
  update_ = {.f = sublayer_.data(), .post = post_.data(), .comb = comb_.data()};
  if (!tracing()) return;
  settle_streams();
  trace(name, streams_.data(), kStreams * D_, n_);
}

void Forward::Pass::settle_streams() {
  backend_.merge_streams(update_, n_, D_, streams_.data());
  update_ = {};
}

void Forward::Pass::narrow() {
  const auto pick = [&](float* rows, size_t width) {
    for (size_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_[i] == i) continue;
      backend_.copy(rows + i * width, rows + wanted_[i] * width, width * sizeof(float));
    }
  };
  pick(streams_.data(), kStreams * D_);
  pick(normed_.data(), D_);
  pick(post_.data(), kStreams);
  pick(comb_.data(), kStreams * kStreams);
  const size_t n_pairs = plain_theta_.size();
  for (Scratch* const table : {&plain_rope_, &compressed_rope_}) {
    pick(table->data(), n_pairs);                 // the cosines
    pick(table->data() + n_ * n_pairs, n_pairs);  // the sines
  }
  size_t row = 0;
  for (SequenceRows& s : sequences_) {
    const size_t end = s.first_row + s.n_rows, begin = row;
    while (row < wanted_.size() && wanted_[row] < end) ++row;
    if (row > begin) s.position += wanted_[begin] - s.first_row;
    s.first_row = begin;
    s.n_rows = row - begin;
  }
  for (size_t i = 0; i < wanted_.size(); ++i) {
    positions_[i] = positions_[wanted_[i]];
    ids_[i] = ids_[wanted_[i]];
    wanted_[i] = i;
  }
  n_ = wanted_.size();
  positions_.resize(n_);
  ids_.resize(n_);
}

void Forward::Pass::head(const HeadWeights& weights, std::span<const size_t> rows,
                         std::vector<float>& logits) {
  layer_index_ = -1;
  settle_streams();
  const size_t V = u(c_.vocab_size), width = kStreams * D_;
  logits.resize(rows.size() * V);
  for (size_t begin = 0; begin < rows.size() && !stopped(); begin += kLogitRows) {
    const size_t n = std::min(kLogitRows, rows.size() - begin);
    for (size_t i = 0; i < n; ++i) {
      backend_.copy(picked_.data() + i * width, streams_.data() + rows[begin + i] * width,
                    width * sizeof(float));
    }
    traffic_.weight_bytes += weights.hc.fn.bytes_of_rows(weights.hc.fn.rows);
    backend_.mix_head(weights.hc.view(), static_cast<float>(c_.hc_eps),
                      static_cast<float>(c_.rms_norm_eps), picked_.data(), n, D_, picked_y_.data());
    trace("head.y", picked_y_.data(), D_, n);
    backend_.rms_norm({.x = picked_y_.data(),
                       .x_stride = D_,
                       .weight = weights.norm.data(),
                       .y = picked_y_.data(),
                       .y_stride = D_,
                       .n_rows = n,
                       .n_cols = D_,
                       .eps = static_cast<float>(c_.rms_norm_eps)});
    trace("head.norm", picked_y_.data(), D_, n);
    matmul({job(model_.head, picked_y_.data(), logits_.data(), n)});
    backend_.copy(logits.data() + begin * V, logits_.data(), n * V * sizeof(float));
  }
}

Result<void> Forward::Pass::step(std::span<const StepSequence> sequences,
                                 const std::stop_token& stop, std::vector<float>& logits,
                                 const StepProbe& probe) {
  std::vector<SequenceRows> rows;
  ids_.clear();
  wanted_.clear();
  for (const StepSequence& s : sequences) {
    const size_t first = ids_.size(), n = s.ids.size();
    SABLE_CHECK(n > 0 && first + n <= rows_max_);
    for (const int32_t id : s.ids) SABLE_CHECK(id >= 0 && id < c_.vocab_size);
    rows.push_back({s.state, first, n, s.state->position()});
    ids_.insert(ids_.end(), s.ids.begin(), s.ids.end());
    const size_t first_wanted = s.no_logits ? n : s.all_logits ? 0 : n - 1;
    for (size_t i = first_wanted; i < n; ++i) wanted_.push_back(first + i);
  }
  const auto abandon = [&](size_t n_prepared) {
    for (size_t i = 0; i < n_prepared; ++i) rows[i].state->abandon();
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    Result<void> prepared = rows[i].state->prepare(pool_, rows[i].n_rows);
    if (!prepared) {
      abandon(i);
      return prepared;
    }
  }
  begin(rows, stop, &probe.trace);
  if (probe.streams_in != nullptr) {
    backend_.copy(streams_.data(), probe.streams_in, n_ * kStreams * D_ * sizeof(float));
  } else {
    backend_.embed(model_.embed, ids_, kStreams, streams_.data());
  }
  const size_t layer_end = std::min(probe.layer_end, model_.layers.size());
  for (size_t l = probe.layer_begin; l < layer_end && !stopped(); ++l) {
    state_layer_ = l;
    is_last_ = l + 1 == model_.layers.size() && !tracing() && probe.streams_out == nullptr;
    run_layer(model_.layers[l], static_cast<int>(l));
  }
  if (probe.streams_out != nullptr && !stopped()) {
    settle_streams();
    probe.streams_out->resize(n_ * kStreams * D_);
    backend_.copy(probe.streams_out->data(), streams_.data(), n_ * kStreams * D_ * sizeof(float));
  }
  if (!stopped()) head(model_.trunk_head, wanted_, logits);
  if (stopped()) {
    abandon(rows.size());
    return fail(ErrorCode::cancelled, "the step was stopped");
  }
  for (const SequenceRows& r : rows) r.state->commit(r.n_rows);
  return {};
}

Result<void> Forward::Pass::draft(SequenceState& state, std::span<const float> streams,
                                  std::span<const int32_t> next_ids, const std::stop_token& stop,
                                  std::vector<float>& logits) {
  SABLE_CHECK(!model_.mtp.empty() && next_ids.size() <= rows_max_);
  SABLE_CHECK(streams.size() == next_ids.size() * kStreams * D_);
  const MtpWeights& mtp = model_.mtp.front();
  const auto eps = static_cast<float>(c_.rms_norm_eps);
  const size_t n = next_ids.size();
  SABLE_TRY_VOID(state.prepare(pool_, n));
  const SequenceRows rows{&state, 0, n, state.position()};
  begin({&rows, 1}, stop, nullptr);
  ids_.assign(next_ids.begin(), next_ids.end());

  backend_.embed(model_.embed, next_ids, 1, y_.data());
  backend_.rms_norm({.x = y_.data(),
                     .x_stride = D_,
                     .weight = mtp.enorm.data(),
                     .y = normed_.data(),
                     .y_stride = D_,
                     .n_rows = n,
                     .n_cols = D_,
                     .eps = eps});
  const MatrixInput e = input(normed_.data(), D_, n, rounded_.data(), {&mtp.e_proj});
  matmul({job(mtp.e_proj, e.for_weight(mtp.e_proj), sublayer_.data(), n)});

  // Row by row: the norm is over each stream on its own, and the scratch is one stream wide.
  for (size_t t = 0; t < n; ++t) {
    float* const out = streams_.data() + t * kStreams * D_;
    backend_.copy(out, streams.data() + t * kStreams * D_, kStreams * D_ * sizeof(float));
    backend_.rms_norm({.x = out,
                       .x_stride = D_,
                       .weight = mtp.hnorm.data(),
                       .y = picked_.data(),
                       .y_stride = D_,
                       .n_rows = kStreams,
                       .n_cols = D_,
                       .eps = eps});
    const MatrixInput h =
        input(picked_.data(), D_, kStreams, picked_.data() + kStreams * D_, {&mtp.h_proj});
    matmul({job(mtp.h_proj, h.for_weight(mtp.h_proj), out, kStreams)});
  }
  backend_.add_to_streams(sublayer_.data(), n, D_, streams_.data());

  state_layer_ = 0;
  is_last_ = false;
  run_layer(mtp.block, static_cast<int>(model_.layers.size()));
  std::vector<size_t> wanted(n);
  for (size_t i = 0; i < n; ++i) wanted[i] = i;
  if (!stopped()) head(mtp.head, wanted, logits);
  if (stopped()) {
    state.abandon();
    return fail(ErrorCode::cancelled, "the step was stopped");
  }
  state.commit(n);
  return {};
}

Forward::Forward(std::unique_ptr<Pass> pass) : pass_(std::move(pass)) {}
Forward::~Forward() = default;

Result<std::unique_ptr<Forward>> Forward::create(const Model& model, Backend& backend,
                                                 PagePool& pool, const GraphSettings& settings,
                                                 size_t rows_max) {
  SABLE_TRY(auto pass, Pass::create(model, backend, pool, settings, rows_max));
  return std::unique_ptr<Forward>(new Forward(std::move(pass)));
}

const StepTraffic& Forward::traffic() const { return pass_->traffic_; }
uint64_t Forward::scratch_bytes() const { return pass_->scratch_bytes(); }
void Forward::take_scratch() const { pass_->take_scratch(); }
void Forward::limit_experts(uint64_t bytes_max) { pass_->residency_.limit(bytes_max); }
size_t Forward::rows_max() const { return pass_->rows_max_; }
const CacheLayout& Forward::layout() const { return pass_->layout_; }
const CacheLayout& Forward::mtp_layout() const { return pass_->mtp_layout_; }
const GraphSettings& Forward::settings() const { return pass_->settings_; }

Result<void> Forward::step(std::span<const StepSequence> sequences, const std::stop_token& stop,
                           std::vector<float>& logits, const StepProbe& probe) {
  return pass_->step(sequences, stop, logits, probe);
}

Result<void> Forward::draft(SequenceState& state, std::span<const float> streams,
                            std::span<const int32_t> next_ids, const std::stop_token& stop,
                            std::vector<float>& logits) {
  return pass_->draft(state, streams, next_ids, stop, logits);
}

}  // namespace sable::inference
