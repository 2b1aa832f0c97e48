#include "inference/kernels/routing.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace sable::inference {

namespace {

/// Ordered like the floats, with NaN below everything: a total order, which the selection needs.
uint32_t rank_of(float x) {
  if (std::isnan(x)) return 0;
  const auto bits = std::bit_cast<uint32_t>(x == 0.0F ? 0.0F : x);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

/// log(1 + x) for x >= 0 within some ulp, in half the time of std::log1p: what 1 + x loses of x is
/// made up for by the quotient (Kahan).
double log_of_one_and(double x) {
  const double sum = 1.0 + x;
  return sum == 1.0 ? x : std::log(sum) * (x / (sum - 1.0));
}

}  // namespace

void sqrt_softplus(std::span<float> z) {
  for (float& v : z) {
    const double x = static_cast<double>(v);
    v = static_cast<float>(std::sqrt(x > 20.0 ? x : log_of_one_and(std::exp(x))));
  }
}

void top_indices(std::span<const float> scores, std::span<int32_t> work,
                 std::span<int32_t> chosen) {
  SABLE_CHECK(work.size() == scores.size() && chosen.size() <= work.size());
  std::iota(work.begin(), work.end(), 0);
  const auto better = [scores](int32_t a, int32_t b) {
    const uint32_t x = rank_of(scores[static_cast<size_t>(a)]);
    const uint32_t y = rank_of(scores[static_cast<size_t>(b)]);
    return x > y || (x == y && a < b);
  };
  const auto cut = work.begin() + static_cast<std::ptrdiff_t>(chosen.size());
  if (cut != work.end()) std::nth_element(work.begin(), cut, work.end(), better);
  std::copy(work.begin(), cut, chosen.begin());
  std::sort(chosen.begin(), chosen.end());
}

void weigh_experts(std::span<const float> scores, float scale, std::span<int32_t> chosen,
                   std::span<float> weights) {
  SABLE_CHECK(chosen.size() == weights.size());
  std::sort(chosen.begin(), chosen.end());
  float sum = 0;
  for (const int32_t e : chosen) sum += scores[static_cast<size_t>(e)];
  for (size_t i = 0; i < chosen.size(); ++i) {
    weights[i] = scores[static_cast<size_t>(chosen[i])] / sum * scale;
  }
}

void route_by_score(std::span<const float> scores, std::span<const float> bias, float scale,
                    std::span<int32_t> chosen, std::span<float> weights) {
  SABLE_CHECK(bias.empty() || bias.size() == scores.size());
  SABLE_CHECK(!chosen.empty() && chosen.size() <= scores.size());
  const auto rank = [&](size_t e) {
    return rank_of(bias.empty() ? scores[e] : scores[e] + bias[e]);
  };
  // The best so far, best first. Few are chosen, so that few are ever moved; among equal ones those
  // with lower ids are there already.
  size_t n_chosen = 0;
  for (size_t e = 0; e < scores.size(); ++e) {
    const uint32_t ranked = rank(e);
    const auto beats = [&](int32_t other) { return ranked > rank(static_cast<size_t>(other)); };
    if (n_chosen == chosen.size() && !beats(chosen.back())) continue;
    size_t at = n_chosen < chosen.size() ? n_chosen++ : n_chosen - 1;
    for (; at > 0 && beats(chosen[at - 1]); --at) chosen[at] = chosen[at - 1];
    chosen[at] = static_cast<int32_t>(e);
  }
  weigh_experts(scores, scale, chosen, weights);
}

}  // namespace sable::inference
