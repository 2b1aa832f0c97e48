#include "inference/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "inference/engine/counter_random.h"
#include "inference/engine/exact_math.h"

using namespace sable;
using namespace sable::inference;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The definition, word by word, with the C library's functions: probabilities by id after all
/// filters.
std::vector<double> reference_distribution(const SamplingParameters& p,
                                           const std::vector<float>& logits,
                                           const std::vector<uint64_t>& allowed,
                                           const std::vector<int32_t>& seen) {
  const size_t n = logits.size();
  std::vector<double> l(logits.begin(), logits.end());
  std::map<int32_t, int> counts;
  for (const int32_t id : seen) ++counts[id];
  for (const auto& [id, count] : counts) {
    double& x = l[static_cast<size_t>(id)];
    x = x > 0 ? x / p.repetition_penalty : x * p.repetition_penalty;
    x -= p.presence_penalty + p.frequency_penalty * count;
  }
  for (size_t i = 0; i < n; ++i) {
    if (!allowed.empty() && (allowed[i / 64] >> (i % 64) & 1) == 0) l[i] = -kInfinity;
  }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return l[a] > l[b]; });
  const double best = l[order[0]];
  std::vector<double> probability(n, 0.0);
  if (p.temperature == 0.0) {
    probability[order[0]] = 1.0;
    return probability;
  }
  const size_t k = p.top_k == 0 ? n : std::min(n, static_cast<size_t>(p.top_k));
  double total = 0.0;
  for (size_t i = 0; i < k; ++i)
    total += probability[order[i]] = std::exp((l[order[i]] - best) / p.temperature);
  double taken = 0.0;
  for (size_t i = 0; i < k; ++i) {
    double& x = probability[order[i]];
    const bool out = (p.top_p < 1.0 && taken >= p.top_p * total) || x < p.min_p;
    taken += x;
    if (out) x = 0.0;
  }
  total = std::accumulate(probability.begin(), probability.end(), 0.0);
  for (double& x : probability) x /= total;
  return probability;
}

SampledToken sample(const SamplingParameters& p, const SamplingInput& input) {
  Sampler sampler;
  auto picked = sampler.sample(p, input);
  INFO((picked ? "" : picked.error().message));
  REQUIRE(picked);
  return std::move(*picked);
}

struct Case {
  SamplingParameters parameters;
  std::vector<float> logits;
  std::vector<uint64_t> allowed;
  std::vector<int32_t> seen;
};

Case random_case() {
  Case c;
  const auto n = *rc::gen::inRange<size_t>(1, 200);
  // Few distinct values, so that there are many ties.
  const auto value =
      rc::gen::map(rc::gen::inRange(-40, 41), [](int x) { return static_cast<float>(x) / 4.0f; });
  c.logits = *rc::gen::container<std::vector<float>>(n, value);
  const auto real = [](double low, double high) {
    return low + (high - low) * *rc::gen::inRange(0, 1001) / 1000.0;
  };
  SamplingParameters& p = c.parameters;
  if (*rc::gen::arbitrary<bool>()) p.temperature = real(0.0, 2.0);
  if (*rc::gen::arbitrary<bool>()) p.top_k = *rc::gen::inRange(0, 50);
  // An odd share, so that no sum of a few equal weights meets it exactly.
  if (*rc::gen::arbitrary<bool>()) p.top_p = real(0.01, 0.99) + 0.000123;
  if (*rc::gen::arbitrary<bool>()) p.min_p = real(0.0, 1.0) * 0.999123;
  if (*rc::gen::arbitrary<bool>()) {
    p.repetition_penalty = real(0.5, 2.0);
    p.presence_penalty = real(-2.0, 2.0);
    p.frequency_penalty = real(-1.0, 1.0);
    c.seen = *rc::gen::container<std::vector<int32_t>>(
        rc::gen::inRange<int32_t>(0, static_cast<int32_t>(n)));
  }
  if (*rc::gen::arbitrary<bool>()) {
    c.allowed =
        *rc::gen::container<std::vector<uint64_t>>((n + 63) / 64, rc::gen::arbitrary<uint64_t>());
    const auto one = *rc::gen::inRange<size_t>(0, n);
    c.allowed[one / 64] |= uint64_t{1} << (one % 64);
  }
  p.seed = *rc::gen::arbitrary<uint64_t>();
  return c;
}

}  // namespace

TEST_CASE("Philox gives the numbers of its authors") {
  // Random123, tests/kat_vectors, philox4x32 with 10 rounds.
  using Words = std::array<uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr uint32_t f = 0xffffffff;
  CHECK(philox({f, f, f, f}, {f, f}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform numbers lie in [0, 1) and look uniform") {
  std::vector<int> buckets(10, 0);
  for (uint64_t position = 0; position < 100'000; ++position) {
    const double u = uniform_at(7, position);
    REQUIRE((u >= 0.0 && u < 1.0));
    ++buckets[static_cast<size_t>(u * 10)];
  }
  for (const int count : buckets)
    CHECK(std::abs(count - 10'000) < 500);  // five standard deviations
  CHECK(uniform_at(7, 1) != uniform_at(8, 1));
  CHECK(uniform_at(7, 1) != uniform_at(7, uint64_t{1} << 32 | 1));
}

TEST_CASE("exponential and logarithm agree with the C library to two units in the last place") {
  double worst_exp = 0, worst_log = 0;
  for (int i = 0; i <= 200'000; ++i) {
    const double x = -700.0 * i / 200'000;
    const double e = std::exp(x);
    worst_exp = std::max(worst_exp, std::abs(exact_exp(x) - e) / (std::nextafter(e, 1e300) - e));
    const double y = 1.0 + 1e7 * static_cast<double>(i) * i / 4e10;
    const double l = std::log(y);
    const double ulp = std::nextafter(std::max(1.0, l), 1e300) - std::max(1.0, l);
    worst_log = std::max(worst_log, std::abs(exact_log(y) - l) / ulp);
  }
  CHECK(worst_exp <= 2.0);
  CHECK(worst_log <= 2.0);
  CHECK(exact_exp(0.0) == 1.0);
  CHECK(exact_exp(-1e300) == 0.0);
  CHECK(exact_exp(-std::numeric_limits<double>::infinity()) == 0.0);
  CHECK(exact_log(1.0) == 0.0);
}

TEST_CASE("what is drawn is what the definition draws with the same random number") {
  rc::prop("equals the reference", [] {
    const Case c = random_case();
    const auto probability = reference_distribution(c.parameters, c.logits, c.allowed, c.seen);
    Sampler sampler;
    for (uint64_t position = 0; position < 20; ++position) {
      const auto picked = sampler.sample(
          c.parameters,
          {.logits = c.logits, .allowed = c.allowed, .seen = c.seen, .position = position});
      RC_ASSERT(picked.has_value());
      const double u = uniform_at(c.parameters.seed, position);
      // The reference's sums may differ in their last bits: the mark must lie in the token's share
      // or touch it.
      double below = 0.0;
      for (int32_t id = 0; id < picked->id; ++id) below += probability[static_cast<size_t>(id)];
      const double share = probability[static_cast<size_t>(picked->id)];
      RC_ASSERT(share > 0.0);
      RC_ASSERT(u >= below - 1e-12);
      RC_ASSERT(u <= below + share + 1e-12);
    }
  });
}

TEST_CASE("log-probabilities are the model's own, whatever the sampling") {
  rc::prop("equal the reference", [] {
    const Case c = random_case();
    const auto picked = sample(c.parameters, {.logits = c.logits,
                                              .allowed = c.allowed,
                                              .seen = c.seen,
                                              .with_log_probability = true,
                                              .n_best = 5});
    const double best = *std::max_element(c.logits.begin(), c.logits.end());
    double sum = 0;
    for (const float x : c.logits) sum += std::exp(x - best);
    const auto expected = [&](int32_t id) {
      return c.logits[static_cast<size_t>(id)] - best - std::log(sum);
    };
    RC_ASSERT(std::abs(*picked.log_probability - expected(picked.id)) < 1e-13);
    RC_ASSERT(picked.best.size() == std::min<size_t>(5, c.logits.size()));
    std::vector<int32_t> order(c.logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return c.logits[static_cast<size_t>(a)] > c.logits[static_cast<size_t>(b)];
    });
    for (size_t i = 0; i < picked.best.size(); ++i) {
      RC_ASSERT(picked.best[i].id == order[i]);
      RC_ASSERT(std::abs(picked.best[i].log_probability - expected(order[i])) < 1e-13);
    }
  });
  const std::vector<float> logits = {1.0f, 2.0f};
  CHECK_FALSE(sample({}, {.logits = logits}).log_probability);
}

TEST_CASE("temperature 0 takes the best token, and the lower id of equals") {
  const std::vector<float> logits = {1.0f, 3.0f, 3.0f, -1.0f};
  CHECK(sample({.temperature = 0.0}, {.logits = logits}).id == 1);
  const std::vector<uint64_t> allowed = {0b1101};
  CHECK(sample({.temperature = 0.0}, {.logits = logits, .allowed = allowed}).id == 2);
  const std::vector<int32_t> seen = {1, 2, 2};
  CHECK(
      sample({.temperature = 0.0, .frequency_penalty = 0.5}, {.logits = logits, .seen = seen}).id ==
      1);
  CHECK(
      sample({.temperature = 0.0, .presence_penalty = 2.5}, {.logits = logits, .seen = seen}).id ==
      0);
  CHECK(sample({.top_k = 1}, {.logits = logits}).id == 1);
}

TEST_CASE("frequencies follow the probabilities") {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f), -kInfinity};
  std::vector<int> counts(4, 0);
  Sampler sampler;
  for (uint64_t position = 0; position < 20'000; ++position) {
    ++counts[static_cast<size_t>(
        sampler.sample({.seed = 3}, {.logits = logits, .position = position})->id)];
  }
  CHECK(std::abs(counts[0] - 10'000) < 360);  // five standard deviations
  CHECK(std::abs(counts[1] - 6'000) < 330);
  CHECK(std::abs(counts[2] - 4'000) < 290);
  CHECK(counts[3] == 0);
}

TEST_CASE("a masked or impossible token is never drawn and at least one stays") {
  const std::vector<float> logits = {50.0f, 1.0f, -kInfinity, 0.0f};
  const std::vector<uint64_t> allowed = {0b1110};
  Sampler sampler;
  for (uint64_t position = 0; position < 500; ++position) {
    const auto id = sampler
                        .sample({.temperature = 5.0},
                                {.logits = logits, .allowed = allowed, .position = position})
                        ->id;
    CHECK((id == 1 || id == 3));
  }
  CHECK(sample({.top_p = 1e-9, .min_p = 1.0}, {.logits = logits}).id == 0);
}

TEST_CASE("the same seed and position give the same token on every thread and in any order") {
  std::vector<float> logits(5000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(4 * uniform_at(1, i));
  const SamplingParameters parameters{.temperature = 0.8, .top_k = 400, .top_p = 0.95, .seed = 42};
  const auto draw_all = [&](bool backwards) {
    std::vector<int32_t> ids(200);
    Sampler sampler;
    for (size_t i = 0; i < ids.size(); ++i) {
      const size_t at = backwards ? ids.size() - 1 - i : i;
      ids[at] = sampler.sample(parameters, {.logits = logits, .position = at})->id;
    }
    return ids;
  };
  const auto expected = draw_all(false);
  std::vector<std::vector<int32_t>> got(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < got.size(); ++t) {
    threads.emplace_back([&, t] { got[t] = draw_all(t % 2 == 1); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& ids : got) CHECK(ids == expected);
}

TEST_CASE("bad input to the sampler is named") {
  Sampler sampler;
  const auto message = [&](const std::vector<float>& logits,
                           const std::vector<uint64_t>& allowed = {},
                           const std::vector<int32_t>& seen = {}) {
    const auto picked = sampler.sample({}, {.logits = logits, .allowed = allowed, .seen = seen});
    REQUIRE_FALSE(picked);
    return picked.error().message;
  };
  CHECK(message({}) == "0 logits");
  CHECK(message({1.0f, std::nanf("")}) == "the logit of token 1 is nan");
  CHECK(message({kInfinity}) == "the logit of token 0 is inf");
  CHECK(message({-kInfinity, -kInfinity}) ==
        "no token is possible: all are masked or have no probability");
  CHECK(message({1.0f}, {0}) == "no token is possible: all are masked or have no probability");
  CHECK(message(std::vector<float>(65), {1}) == "a mask of 64 bits for 65 tokens");
  CHECK(message({1.0f}, {}, {1}) == "a seen token is outside the vocabulary");
  CHECK(message({1.0f}, {}, {-1}) == "a seen token is outside the vocabulary");
  for (const SamplingParameters& bad : {SamplingParameters{.temperature = -1},
                                        {.temperature = std::nan("")},
                                        {.top_k = -1},
                                        {.top_p = 0},
                                        {.top_p = 1.5},
                                        {.min_p = -0.1},
                                        {.min_p = 2},
                                        {.repetition_penalty = 0},
                                        {.presence_penalty = std::nan("")},
                                        {.frequency_penalty = 1e9}}) {
    CHECK_FALSE(check(bad));
  }
  CHECK(check(SamplingParameters{}));
  CHECK(check(SamplingParameters{.top_p = 0}).error().message ==
        "top_p: expected above 0 to 1, found 0");
}
