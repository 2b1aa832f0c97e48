#include "inference/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/check.h"
#include "inference/engine/counter_random.h"
#include "inference/engine/exact_math.h"

namespace sable::inference {

namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

double penalised(double logit, const SamplingParameters& p, size_t times) {
  // Dividing a negative logit would reward it (Keskar et al., arXiv 1909.05858, section 4.1, as
  // commonly corrected).
  logit = logit > 0.0 ? logit / p.repetition_penalty : logit * p.repetition_penalty;
  return logit - p.presence_penalty - p.frequency_penalty * static_cast<double>(times);
}

/// log(sum(e^(logit - best))), summed in the order of ids.
double log_sum(std::span<const float> logits, double best) {
  double sum = 0.0;
  for (const float logit : logits) sum += exact_exp(static_cast<double>(logit) - best);
  return exact_log(sum);  // the best itself counts 1
}

}  // namespace

Result<void> check(const SamplingParameters& p) {
  const auto wrong = [](const char* field, const char* expected, double found) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: expected {}, found {}", field, expected, found));
  };
  const auto within = [](double value, double low, double high) {
    return value >= low && value <= high;
  };
  if (!within(p.temperature, 0.0, 100.0)) return wrong("temperature", "0 to 100", p.temperature);
  if (p.top_k < 0) return wrong("top_k", "0 or more", p.top_k);
  if (!within(p.top_p, 0.0, 1.0) || p.top_p == 0.0) return wrong("top_p", "above 0 to 1", p.top_p);
  if (!within(p.min_p, 0.0, 1.0)) return wrong("min_p", "0 to 1", p.min_p);
  if (!within(p.repetition_penalty, 0.01, 100.0)) {
    return wrong("repetition_penalty", "0.01 to 100", p.repetition_penalty);
  }
  if (!within(p.presence_penalty, -100.0, 100.0)) {
    return wrong("presence_penalty", "-100 to 100", p.presence_penalty);
  }
  if (!within(p.frequency_penalty, -100.0, 100.0)) {
    return wrong("frequency_penalty", "-100 to 100", p.frequency_penalty);
  }
  return {};
}

Result<void> Sampler::collect(const SamplingParameters& parameters, const SamplingInput& input) {
  const size_t size = input.logits.size();
  if (size == 0 || size > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return fail(ErrorCode::invalid_input, fmt::format("{} logits", size));
  }
  if (!input.allowed.empty() && input.allowed.size() < (size + 63) / 64) {
    return fail(ErrorCode::invalid_input,
                fmt::format("a mask of {} bits for {} tokens", input.allowed.size() * 64, size));
  }
  seen_.assign(input.seen.begin(), input.seen.end());
  std::sort(seen_.begin(), seen_.end());
  if (!seen_.empty() && (seen_.front() < 0 || static_cast<size_t>(seen_.back()) >= size)) {
    return fail(ErrorCode::invalid_input, "a seen token is outside the vocabulary");
  }

  candidates_.clear();
  auto next_seen = seen_.begin();
  for (size_t i = 0; i < size; ++i) {
    const auto id = static_cast<int32_t>(i);
    auto logit = static_cast<double>(input.logits[i]);
    if (std::isnan(logit) || logit == std::numeric_limits<double>::infinity()) {
      return fail(ErrorCode::invalid_input, fmt::format("the logit of token {} is {}", id, logit));
    }
    const auto first_seen = next_seen;
    while (next_seen != seen_.end() && *next_seen == id) ++next_seen;
    if (next_seen != first_seen) {
      logit = penalised(logit, parameters, static_cast<size_t>(next_seen - first_seen));
    }
    const bool allowed = input.allowed.empty() || (input.allowed[i / 64] >> (i % 64) & 1) != 0;
    if (allowed && logit != kMinusInfinity) candidates_.push_back({logit, 0.0, id});
  }
  if (candidates_.empty()) {
    return fail(ErrorCode::invalid_input,
                "no token is possible: all are masked or have no probability");
  }
  return {};
}

void Sampler::keep_top_k(size_t k) {
  if (k == 0 || k >= candidates_.size()) return;
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(k);
  std::nth_element(candidates_.begin(), end, candidates_.end(), better);
  candidates_.erase(end, candidates_.end());
  sort_by_id();  // sums must not depend on the order that the library's selection leaves
}

void Sampler::keep_top_p(double share) {
  // The best ones are taken off a heap until they have the share; mostly that is a few of very
  // many.
  const auto worse = [](const Candidate& a, const Candidate& b) { return better(b, a); };
  double total = 0.0;
  for (const Candidate& c : candidates_) total += c.weight;
  std::make_heap(candidates_.begin(), candidates_.end(), worse);
  double taken = 0.0;
  auto rest = candidates_.end();
  while (rest != candidates_.begin() && taken < share * total) {
    std::pop_heap(candidates_.begin(), rest, worse);
    --rest;
    taken += rest->weight;
  }
  candidates_.erase(candidates_.begin(), rest);
  sort_by_id();
}

void Sampler::sort_by_id() {
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

int32_t Sampler::draw(double uniform) const {
  double total = 0.0;
  for (const Candidate& c : candidates_) total += c.weight;
  const double mark = uniform * total;
  double reached = 0.0;
  int32_t id = 0;
  for (const Candidate& c : candidates_) {
    if (c.weight == 0.0) continue;
    id = c.id;  // the last one, should rounding keep the mark out of reach
    reached += c.weight;
    if (reached > mark) break;
  }
  return id;
}

/// What is reported comes from the logits as they were.
void Sampler::report(const SamplingInput& input, SampledToken& picked) {
  const double best = *std::max_element(input.logits.begin(), input.logits.end());
  const double sum = log_sum(input.logits, best);
  const auto log_probability = [&](int32_t id) {
    return static_cast<double>(input.logits[static_cast<size_t>(id)]) - best - sum;
  };
  picked.log_probability = log_probability(picked.id);
  const size_t n = std::min(input.n_best, input.logits.size());
  if (n == 0) return;
  candidates_.clear();
  for (size_t i = 0; i < input.logits.size(); ++i) {
    candidates_.push_back({input.logits[i], 0.0, static_cast<int32_t>(i)});
  }
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(n);
  std::partial_sort(candidates_.begin(), end, candidates_.end(), better);
  for (auto it = candidates_.begin(); it != end; ++it) {
    picked.best.push_back({it->id, log_probability(it->id)});
  }
}

Result<SampledToken> Sampler::sample(const SamplingParameters& parameters,
                                     const SamplingInput& input) {
  SABLE_CHECK(check(parameters).has_value());
  SABLE_TRY_VOID(collect(parameters, input));

  SampledToken picked;
  const Candidate best = *std::min_element(candidates_.begin(), candidates_.end(), better);
  if (parameters.temperature == 0.0 || parameters.top_k == 1) {
    picked.id = best.id;
  } else {
    keep_top_k(static_cast<size_t>(parameters.top_k));
    for (Candidate& c : candidates_) {
      c.weight = exact_exp((c.logit - best.logit) / parameters.temperature);
    }
    if (parameters.top_p < 1.0) keep_top_p(parameters.top_p);
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < parameters.min_p; });
    picked.id = draw(uniform_at(parameters.seed, input.position));
  }
  if (input.with_log_probability || input.n_best > 0) report(input, picked);
  return picked;
}

}  // namespace sable::inference
