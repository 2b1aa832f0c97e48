// Opens a model and steps batches of sequences.
#include <algorithm>
#include <thread>
#include <utility>

#include "base/check.h"
#include "inference/engine/engine_state.h"
#include "inference/engine/fingerprint.h"
#include "inference/engine/memory_budget.h"
#include "inference/engine/model_tokenizer.h"
#include "inference/kernels/lane_kernels.h"

namespace sable::inference {

namespace {

Result<std::unique_ptr<Backend>> backend_for(const EngineOptions& options, WorkerPool& workers) {
  if (options.backend == "reference") return make_reference_backend();
  if (options.backend != "cpu") {
    return fail(ErrorCode::unsupported,
                "no backend is called \"" + options.backend + "\"; there are cpu and reference");
  }
  if (options.instruction_set.empty()) return make_cpu_backend(workers);
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    if (kernels->name == options.instruction_set) return make_cpu_backend(workers, kernels);
  }
  return fail(ErrorCode::unsupported,
              "this machine cannot run kernels for \"" + options.instruction_set + "\"");
}

/// One sequence's part of the step that is being planned.
struct Portion {
  Sequence* sequence;
  uint64_t n_tokens;
};

/// A step ends at the last multiple of 128 tokens that it comes across, so that a rewind point can
/// be there.
uint64_t up_to_block_end(uint64_t position, uint64_t n) {
  const uint64_t past = (position + n) % kSavedBlockTokens;
  return past < n ? n - past : n;
}

/// One waiting token of each sequence first, then more of them in order while the budget lasts.
std::vector<Portion> plan(std::span<Sequence* const> sequences, size_t n_rows_max, size_t budget) {
  std::vector<Portion> portions;
  for (Sequence* s : sequences) {
    if (s->n_waiting() > 0 && portions.size() < n_rows_max) portions.push_back({s, 1});
  }
  size_t room = std::min(n_rows_max, budget);
  room = room > portions.size() ? room - portions.size() : 0;
  for (Portion& p : portions) {
    const uint64_t fits = std::min<uint64_t>(p.sequence->n_waiting(), 1 + room);
    p.n_tokens = up_to_block_end(p.sequence->position(), fits);
    room -= p.n_tokens - 1;
  }
  return portions;
}

}  // namespace

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(const std::filesystem::path& path,
                                             const EngineOptions& options) {
  auto state = std::make_unique<State>();
  State& s = *state;
  s.options = options;
  SABLE_TRY(std::shared_ptr<const Checkpoint> checkpoint, Checkpoint::open(path));
  s.checkpoint = std::move(checkpoint);
  const ModelConfig& config = s.checkpoint->config();
  if (s.options.n_threads == 0) {
    s.options.n_threads = std::max<size_t>(1, std::thread::hardware_concurrency());
  }
  const auto longest = static_cast<uint64_t>(config.max_position_embeddings);
  if (s.options.context_max == 0) s.options.context_max = longest;
  if (s.options.context_max > longest) {
    return fail(ErrorCode::invalid_input,
                "context_max: the model allows at most " + std::to_string(longest) + " tokens");
  }
  s.options.rows_in_step_max = std::max<size_t>(1, s.options.rows_in_step_max);

  s.workers = std::make_unique<WorkerPool>(s.options.n_threads);
  SABLE_TRY(s.backend, backend_for(s.options, *s.workers));
  SABLE_TRY(s.model, Model::load(s.checkpoint, *s.backend));
  const GraphSettings settings{
      .format = options.arithmetic == Arithmetic::packed ? CacheFormat::packed : CacheFormat::f32,
      .fake_quant = options.fake_quant,
      .activation_quant = options.activation_quant};
  s.pages = std::make_unique<PagePool>(*s.backend, 0);
  SABLE_TRY(s.forward,
            Forward::create(*s.model, *s.backend, *s.pages, settings, s.options.rows_in_step_max));
  if (s.options.memory_bytes_max == 0) s.options.memory_bytes_max = available_memory();
  SABLE_TRY(s.options.cache_bytes_max, cache_budget({.available = s.options.memory_bytes_max,
                                                     .scratch = s.forward->scratch_bytes(),
                                                     .rows_in_step = s.options.rows_in_step_max,
                                                     .caches = options.cache_bytes_max},
                                                    s.forward->layout()));
  s.forward->take_scratch();
  s.pages->limit(s.options.cache_bytes_max);
  s.forward->limit_experts(s.options.resident_experts_max);
  if (s.options.resident_experts_max == 0 &&
      s.checkpoint->file_bytes() < s.options.memory_bytes_max) {
    s.populating = std::jthread(
        [files = s.checkpoint](const std::stop_token& stop) { files->populate(stop); });
  }
  s.budget.emplace(s.options.step_target, s.options.rows_in_step_max);
  s.tokenizer = tokenizer_of(*s.checkpoint);
  s.fingerprint = fingerprint_of(*s.checkpoint, s.tokenizer ? &s.tokenizer->fingerprint() : nullptr,
                                 settings, s.backend->name() == "reference");
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

const ModelConfig& Engine::config() const { return state_->model->config(); }
const EngineOptions& Engine::options() const { return state_->options; }
const Result<Tokenizer>& Engine::tokenizer() const { return state_->tokenizer; }
const Digest& Engine::fingerprint() const { return state_->fingerprint; }
std::string_view Engine::instruction_set() const { return state_->backend->detail(); }

std::unique_ptr<Sequence> Engine::start() {
  return std::unique_ptr<Sequence>(new Sequence(std::make_unique<Sequence::State>(*state_)));
}

Result<StepReport> Engine::step(std::span<Sequence* const> sequences, const std::stop_token& stop) {
  State& s = *state_;
  const std::vector<Portion> portions =
      plan(sequences, s.options.rows_in_step_max, s.budget->rows());
  if (portions.empty()) return fail(ErrorCode::invalid_input, "no sequence has a token waiting");

  std::vector<StepSequence> rows;
  StepReport report;
  for (const Portion& p : portions) {
    Sequence::State& q = *p.sequence->state_;
    SABLE_CHECK(q.engine == &s);
    const auto waiting = std::span(q.tokens).subspan(q.caches.position(), p.n_tokens);
    const bool every = static_cast<bool>(q.on_logits);
    rows.push_back({.state = &q.caches,
                    .ids = waiting,
                    .all_logits = every,
                    .no_logits = !every && p.n_tokens < q.n_waiting()});
    report.n_tokens += p.n_tokens;
  }
  const auto begin = std::chrono::steady_clock::now();
  SABLE_TRY_VOID(s.forward->step(rows, stop, s.logits));
  const auto time = std::chrono::steady_clock::now() - begin;
  report.time = std::chrono::duration_cast<std::chrono::microseconds>(time);
  s.budget->learn(report.n_tokens, report.time);
  const StepTraffic& traffic = s.forward->traffic();
  report.weight_bytes = traffic.weight_bytes;
  report.cache_bytes = traffic.cache_bytes;
  report.n_experts = traffic.n_experts;

  const size_t n_vocab = s.n_vocab();
  std::span<const float> logits(s.logits);
  for (size_t i = 0; i < portions.size(); ++i) {
    Sequence::State& q = *portions[i].sequence->state_;
    const uint64_t position = q.caches.position();
    q.logits.clear();
    if (!rows[i].no_logits) {
      const size_t n = rows[i].all_logits ? portions[i].n_tokens : 1;
      for (size_t r = 0; rows[i].all_logits && r < n; ++r) {
        q.on_logits(position - n + r, logits.subspan(r * n_vocab, n_vocab));
      }
      if (q.n_waiting() == 0) {
        const auto last = logits.subspan((n - 1) * n_vocab, n_vocab);
        q.logits.assign(last.begin(), last.end());
      }
      logits = logits.subspan(n * n_vocab);
    }
    if (position % kSavedBlockTokens == 0) q.points.add(q.caches.record());
  }
  return report;
}

uint64_t Engine::cache_bytes_in_use() const { return state_->pages->bytes_in_use(); }
uint64_t Engine::scratch_bytes() const { return state_->forward->scratch_bytes(); }
uint64_t Engine::weight_file_bytes() const { return state_->checkpoint->file_bytes(); }

Result<uint64_t> Engine::resident_weight_bytes() const {
  return state_->checkpoint->resident_bytes();
}

uint64_t Engine::cache_bytes_for(uint64_t n_tokens) const {
  return state_->forward->layout().bytes_for(n_tokens);
}

uint64_t Engine::weight_bytes_per_token() const {
  const Model& m = *state_->model;
  const auto of = [](const Weight& w) { return w.tensor == nullptr ? 0 : w.bytes_of_rows(w.rows); };
  const auto expert = [&](const ExpertWeights& e) { return of(e.w1) + of(e.w2) + of(e.w3); };
  uint64_t bytes = m.embed.row_bytes + of(m.head) + of(m.trunk_head.hc.fn);
  for (const LayerWeights& l : m.layers) {
    for (const Weight* w : {&l.attn_hc.fn, &l.ffn_hc.fn, &l.wq_a, &l.wq_b, &l.wkv, &l.wo_a, &l.wo_b,
                            &l.compressor.wkv, &l.compressor.wgate, &l.index_compressor.wkv,
                            &l.index_compressor.wgate, &l.index_wq_b, &l.index_weights, &l.gate}) {
      bytes += of(*w);
    }
    bytes += expert(l.shared) +
             expert(l.experts.front()) * static_cast<uint64_t>(config().num_experts_per_tok);
  }
  return bytes;
}

}  // namespace sable::inference
