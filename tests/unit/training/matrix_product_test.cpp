#include "training/matrix_product.h"

#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

#include "base/random.h"
#include "inference/kernels/quantize.h"
#include "training/rounding.h"
#include "training/sinkhorn.h"

using namespace sable;
using namespace sable::training;

namespace {

std::vector<float> random_vector(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> v(n);
  for (float& x : v) x = random.normal();
  return v;
}

}  // namespace

TEST_CASE("a product equals sums in double, for all edges of the tiles") {
  const auto m = GENERATE(size_t{1}, size_t{7}, size_t{8}, size_t{19});
  const auto n = GENERATE(size_t{1}, size_t{15}, size_t{16}, size_t{24}, size_t{48}, size_t{131});
  const auto k = GENERATE(size_t{1}, size_t{5}, size_t{256}, size_t{300});
  const bool transposed = GENERATE(false, true);
  const Into into = GENERATE(Into::replace, Into::add);
  const auto a = random_vector(m * k, 1), b = random_vector(k * (n + 3), 2);
  auto c = random_vector(m * (n + 1), 3);
  const auto before = c;
  const Left left = transposed ? Left{a.data(), 1, m} : Left{a.data(), k, 1};
  multiply(m, n, k, left, b.data(), n + 3, c.data(), n + 1, into);
  double worst = 0;
  for (size_t i = 0; i < m; ++i) {
    double sum = 0, magnitude = 1;
    for (size_t j = 0; j < n; ++j) {
      sum = into == Into::add ? static_cast<double>(before[i * (n + 1) + j]) : 0.0;
      for (size_t l = 0; l < k; ++l) {
        const double term = static_cast<double>(left.at[i * left.row + l * left.col]) *
                            static_cast<double>(b[l * (n + 3) + j]);
        sum += term;
        magnitude += std::abs(term);
      }
      worst = std::max(worst, std::abs(static_cast<double>(c[i * (n + 1) + j]) - sum) / magnitude);
    }
    CHECK(c[i * (n + 1) + n] == before[i * (n + 1) + n]);  // nothing beyond the columns
  }
  CHECK(worst < 1e-6);
}

TEST_CASE("fast_exp is the exponential to the rounding of its argument") {
  double worst = 0;
  for (double x = -80; x < 80; x += 0.00731) {
    const auto at = static_cast<float>(x);
    const double want = std::exp(static_cast<double>(at));
    const double error = std::abs(static_cast<double>(fast_exp(at)) - want) / want;
    worst = std::max(worst, error / (1 + std::abs(x)));
  }
  CHECK(worst < 1e-7);
  CHECK(fast_exp(0.0F) == 1.0F);
  CHECK(fast_exp(-1000.0F) < 1e-37F);
}

TEST_CASE("the gradient of the Sinkhorn projection agrees with finite differences") {
  Random random(4);
  Lanes z[16], weight[16], d[16];
  for (size_t i = 0; i < 16; ++i) {
    for (size_t l = 0; l < kLanes; ++l) {
      z[i][l] = 2.0F * random.normal();
      weight[i][l] = random.normal();
    }
    d[i] = weight[i];
  }
  const auto loss = [&](const Lanes* at) {
    Lanes c[16], sum = {};
    std::copy_n(at, 16, c);
    sinkhorn(c, 20, 1e-6F);
    for (size_t i = 0; i < 16; ++i) sum += c[i] * weight[i];
    return sum;
  };
  sinkhorn_backward(z, 20, 1e-6F, d);
  for (size_t i = 0; i < 16; ++i) {
    Lanes up[16], down[16];
    std::copy_n(z, 16, up);
    std::copy_n(z, 16, down);
    up[i] += 1e-2F;
    down[i] -= 1e-2F;
    const Lanes slope = (loss(up) - loss(down)) / 2e-2F;
    for (size_t l = 0; l < kLanes; ++l) CHECK(d[i][l] == Approx(slope[l]).margin(2e-4));
  }
}

TEST_CASE("rounding gives the numbers of the inference core's quantisers") {
  const float size = GENERATE(1e-6F, 0.01F, 1.0F, 300.0F);
  auto x = random_vector(4096, 6);
  for (float& v : x) v *= size;
  x[7] = 0.0F;
  for (size_t i = 100; i < 200; ++i) x[i] = 0.25F * static_cast<float>(i % 29);  // ties
  const auto wanted = [&](size_t group) {
    auto y = x;
    group == 32 ? sable::inference::fake_quantize_fp4(y)
                : sable::inference::fake_quantize_fp8(y, group);
    return y;
  };
  for (const size_t group : {size_t{64}, size_t{128}}) {
    auto y = x;
    round_rows_fp8(y.data(), y.size(), group);
    CHECK(y == wanted(group));
  }
  auto y = x;
  round_rows_fp4(y.data(), y.size());
  CHECK(y == wanted(32));
}
