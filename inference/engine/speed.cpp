#include "inference/engine/speed.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "inference/inference.h"

namespace sable::inference {

namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

TokenId best(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// One run: some sequences through context, prompt and decoding.
class Run {
 public:
  Run(Engine& engine, size_t n_sequences, const SpeedProgress& progress,
      const std::stop_token& stop)
      : engine_(engine), progress_(progress), stop_(stop) {
    for (size_t s = 0; s < n_sequences; ++s) {
      owned_.push_back(engine.start());
      sequences_.push_back(owned_.back().get());
    }
  }

  Result<PhaseSpeed> feed(std::string_view phase, uint64_t n) {
    const auto n_vocab = static_cast<uint64_t>(engine_.config().vocab_size);
    for (size_t s = 0; s < sequences_.size(); ++s) {
      std::vector<TokenId> ids(n);
      const uint64_t from = sequences_[s]->tokens().size();
      for (size_t i = 0; i < n; ++i) {
        ids[i] = static_cast<TokenId>(((from + i) * 7919 + s * 104729 + 3) % n_vocab);
      }
      SABLE_TRY_VOID(sequences_[s]->append(ids));
    }
    PhaseSpeed speed;
    const double cpu = cpu_seconds();
    const uint64_t total = n * sequences_.size();
    while (speed.n_tokens < total) {
      SABLE_TRY_VOID(step(speed));
      if (progress_) progress_(phase, speed.n_tokens, total);
    }
    speed.cpu_seconds = cpu_seconds() - cpu;
    return speed;
  }

  Result<PhaseSpeed> decode(std::string_view phase, uint64_t n) {
    PhaseSpeed speed;
    const double cpu = cpu_seconds();
    for (uint64_t i = 0; i < n; ++i) {
      for (Sequence* const s : sequences_) {
        const TokenId next = best(s->logits());
        checksum_ = checksum_ * 1000003 + static_cast<uint64_t>(next);
        SABLE_TRY_VOID(s->append({&next, 1}));
      }
      SABLE_TRY_VOID(step(speed));
      if (progress_) progress_(phase, i + 1, n);
    }
    speed.cpu_seconds = cpu_seconds() - cpu;
    return speed;
  }

  uint64_t checksum() const { return checksum_; }
  uint64_t cache_bytes() const {
    uint64_t bytes = 0;
    for (const Sequence* const s : sequences_) bytes += s->cache_bytes();
    return bytes;
  }
  uint64_t cache_bytes_formula() const {
    uint64_t bytes = 0;
    for (const Sequence* const s : sequences_) bytes += engine_.cache_bytes_for(s->position());
    return bytes;
  }

 private:
  Result<void> step(PhaseSpeed& speed) {
    SABLE_TRY(const StepReport step, engine_.step(sequences_, stop_));
    speed.n_tokens += step.n_tokens;
    ++speed.n_steps;
    speed.seconds += std::chrono::duration<double>(step.time).count();
    speed.weight_bytes += step.weight_bytes;
    speed.cache_bytes += step.cache_bytes;
    speed.n_experts += step.n_experts;
    return {};
  }

  Engine& engine_;
  const SpeedProgress& progress_;
  const std::stop_token& stop_;
  std::vector<std::unique_ptr<Sequence>> owned_;
  std::vector<Sequence*> sequences_;
  uint64_t checksum_ = 0;
};

double per(double amount, double of) { return of > 0 ? amount / of : 0; }

Json phase_json(const PhaseSpeed& p, double bandwidth) {
  return {
      {"tokens", p.n_tokens},
      {"steps", p.n_steps},
      {"seconds", p.seconds},
      {"cpu_seconds", p.cpu_seconds},
      {"tokens_per_second", p.tokens_per_second()},
      {"weight_bytes", p.weight_bytes},
      {"cache_bytes", p.cache_bytes},
      {"bytes_per_token", p.bytes_per_token()},
      {"experts_in_step", per(static_cast<double>(p.n_experts), static_cast<double>(p.n_steps))},
      {"share_of_read_bandwidth", per(p.bytes_per_second(), bandwidth)}};
}

std::string phase_text(std::string_view name, const PhaseSpeed& p, double bandwidth) {
  return fmt::format(
      "{:<14}{:9.1f} tokens/s  {:8.1f} MB/token  {:3.0f} % of the read bandwidth  "
      "{:.2f} ms of processor time a token\n",
      name, p.tokens_per_second(), p.bytes_per_token() / 1e6,
      100 * per(p.bytes_per_second(), bandwidth),
      1e3 * per(p.cpu_seconds, static_cast<double>(p.n_tokens)));
}

}  // namespace

double PhaseSpeed::tokens_per_second() const { return per(static_cast<double>(n_tokens), seconds); }
double PhaseSpeed::bytes_per_second() const {
  return per(static_cast<double>(weight_bytes + cache_bytes), seconds);
}
double PhaseSpeed::bytes_per_token() const {
  return per(static_cast<double>(weight_bytes + cache_bytes), static_cast<double>(n_tokens));
}
double SpeedReport::share() const { return per(decode.bytes_per_second(), read_bytes_per_second); }

Result<SpeedReport> measure_speed(Engine& engine, const SpeedOptions& options,
                                  const SpeedProgress& progress, const std::stop_token& stop) {
  SpeedReport report{.options = options,
                     .n_threads = engine.options().n_threads,
                     .instruction_set = std::string(engine.instruction_set())};
  if (options.n_prompt == 0 || options.n_sequences == 0) {
    return fail(ErrorCode::invalid_input, "there must be a prompt and a sequence to measure");
  }
  {
    // Maps the weights and finds out the speed of a step.
    Run warm_up(engine, 1, progress, stop);
    SABLE_TRY_VOID(warm_up.feed("warming up", std::min<uint64_t>(64, options.n_prompt)));
    SABLE_TRY_VOID(warm_up.decode("warming up", std::min<uint64_t>(2, options.n_gen)));
  }
  report.read_bytes_per_second = read_bandwidth(report.n_threads);
  if (options.n_sequences > 1) {
    Run alone(engine, 1, progress, stop);
    SABLE_TRY_VOID(alone.feed("context", options.n_context + options.n_prompt));
    SABLE_TRY(report.decode_alone, alone.decode("decoding alone", options.n_gen));
  }
  Run run(engine, options.n_sequences, progress, stop);
  if (options.n_context > 0) {
    SABLE_TRY_VOID(run.feed("context", options.n_context));
  }
  SABLE_TRY(report.prefill, run.feed("prefill", options.n_prompt));
  SABLE_TRY(report.decode, run.decode("decoding", options.n_gen));
  report.read_bytes_per_second =
      std::max(report.read_bytes_per_second, read_bandwidth(report.n_threads));
  report.cache_bytes = run.cache_bytes();
  report.cache_bytes_formula = run.cache_bytes_formula();
  report.checksum = run.checksum();
  return report;
}

Json to_json(const SpeedReport& r) {
  const double bandwidth = r.read_bytes_per_second;
  Json json{
      {"instruction_set", r.instruction_set},     {"threads", r.n_threads},
      {"sequences", r.options.n_sequences},       {"context_tokens", r.options.n_context},
      {"prompt_tokens", r.options.n_prompt},      {"gen_tokens", r.options.n_gen},
      {"read_bytes_per_second", bandwidth},       {"prefill", phase_json(r.prefill, bandwidth)},
      {"decode", phase_json(r.decode, bandwidth)}};
  if (r.decode_alone.n_tokens > 0) {
    json["decode_alone"] = phase_json(r.decode_alone, bandwidth);
    json["decode_to_alone"] = per(r.decode.tokens_per_second(), r.decode_alone.tokens_per_second());
  }
  json["decode_limit_tokens_per_second"] = per(bandwidth, r.decode.bytes_per_token());
  json["sequence_cache_bytes"] = r.cache_bytes;
  json["sequence_cache_bytes_formula"] = r.cache_bytes_formula;
  json["checksum"] = fmt::format("{:016x}", r.checksum);
  return json;
}

std::string to_text(const SpeedReport& r) {
  const double bandwidth = r.read_bytes_per_second;
  std::string out = fmt::format(
      "{} with {} threads; reading {:.1f} GB/s; {} sequences, {} + {} tokens before decoding {}\n",
      r.instruction_set, r.n_threads, bandwidth / 1e9, r.options.n_sequences, r.options.n_context,
      r.options.n_prompt, r.options.n_gen);
  out += phase_text("prefill", r.prefill, bandwidth);
  out += phase_text("decode", r.decode, bandwidth);
  if (r.decode_alone.n_tokens > 0) {
    out += phase_text("  one alone", r.decode_alone, bandwidth);
    out += fmt::format(
        "{:<14}{:9.2f} times one alone; a step reads {:.1f} MB, {:.1f} experts\n", "  together",
        per(r.decode.tokens_per_second(), r.decode_alone.tokens_per_second()),
        per(static_cast<double>(r.decode.weight_bytes + r.decode.cache_bytes),
            static_cast<double>(r.decode.n_steps)) /
            1e6,
        per(static_cast<double>(r.decode.n_experts), static_cast<double>(r.decode.n_steps)));
  }
  out += fmt::format("{:<14}{:9.1f} tokens/s if reading were all\n", "limit",
                     per(bandwidth, r.decode.bytes_per_token()));
  out += fmt::format("{:<14}{:9.2f} MB; {:.2f} MB by the formula\n", "caches",
                     static_cast<double>(r.cache_bytes) / 1e6,
                     static_cast<double>(r.cache_bytes_formula) / 1e6);
  out += fmt::format("{:<14} {:016x}\n", "checksum", r.checksum);
  return out;
}

}  // namespace sable::inference
