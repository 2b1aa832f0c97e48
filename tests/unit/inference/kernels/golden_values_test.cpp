// Golden values of the single operations: worked out by hand from the formulas, and the oracle's
// rope tables.
#include <cmath>
#include <numeric>
#include <vector>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/json.h"
#include "inference/kernels/backend.h"
#include "inference/kernels/hyper_connection.h"
#include "inference/kernels/lane_kernels.h"
#include "inference/kernels/quantize.h"
#include "inference/kernels/rope.h"
#include "inference/kernels/routing.h"
#include "inference/kernels/worker_pool.h"

using namespace sable;
using namespace sable::inference;

namespace {

std::vector<float> bits_of(const Json& table) {
  std::vector<float> values;
  for (const auto& hex : table["float32_bits"]) {
    values.push_back(std::bit_cast<float>(
        static_cast<uint32_t>(std::stoul(hex.get<std::string>(), nullptr, 16))));
  }
  return values;
}

ModelConfig rope_config(int64_t original) {
  ModelConfig config;
  config.rope_original_max_position_embeddings = original;
  return config;
}

/// Both backends, for operations that have no plain function.
std::vector<std::unique_ptr<Backend>> backends() {
  static WorkerPool pool(2);
  std::vector<std::unique_ptr<Backend>> list;
  list.push_back(make_reference_backend());
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    list.push_back(make_cpu_backend(pool, kernels));
  }
  return list;
}

}  // namespace

TEST_CASE("rope tables have the official code's bits") {
  const auto text =
      read_file(std::string(SABLE_SOURCE_DIR) + "/tests/golden/oracle/rope_theta.json");
  REQUIRE(text);
  const auto json = parse_json(*text);
  REQUIRE(json);
  CHECK(plain_rope_frequencies(rope_config(64)) == bits_of((*json)["plain_10000"]));
  CHECK(compressed_rope_frequencies(rope_config(64)) ==
        bits_of((*json)["compress_160000_yarn_original_64"]));
  CHECK(compressed_rope_frequencies(rope_config(65536)) ==
        bits_of((*json)["compress_160000_yarn_original_65536"]));
}

TEST_CASE("rope angles are FP32 products with full range reduction") {
  const std::vector<float> plain = plain_rope_frequencies(rope_config(65536));
  std::vector<float> cos(32), sin(32);
  rope_angles(1000, plain, cos, sin);
  CHECK(cos[1] == Approx(-0.584593).margin(2e-4));  // one ulp of theta is 6e-5 here
  CHECK(sin[1] == Approx(0.811327).margin(2e-4));
  // The last row of the golden table with its own frequency: the angle 0.568052948.
  rope_angles(1000000, std::vector<float>{5.68052904e-7F}, {cos.data(), 1}, {sin.data(), 1});
  CHECK(cos[0] == Approx(0.842950).margin(1e-6));
  CHECK(sin[0] == Approx(0.537992).margin(1e-6));
  rope_angles(1000000, std::vector<float>{0.687656022F}, {cos.data(), 1}, {sin.data(), 1});
  CHECK(cos[0] == Approx(0.644629).margin(1e-6));
  CHECK(sin[0] == Approx(-0.764496).margin(1e-6));
}

TEST_CASE("rotating back restores a vector") {
  std::vector<float> x{1, 2, -3, 0.5F}, cos(2), sin(2);
  const std::vector<float> was = x;
  rope_angles(77, std::vector<float>{1.0F, 0.3F}, cos, sin);
  rotate(x, cos, sin, false);
  CHECK(x[0] == Approx(1 * std::cos(77.0) - 2 * std::sin(77.0)).margin(1e-5));
  rotate(x, cos, sin, true);
  for (size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(was[i]).margin(1e-6));
}

TEST_CASE("stream mixing has the golden values") {
  const std::vector<float> m{0.5F, -1,      0.25F,  2,       0,     1,       -1,     0.5F,
                             -1,   -0.125F, 0.75F,  -0.375F, 0.5F,  -0.625F, 0.25F,  -0.875F,
                             0,    0.875F,  -0.25F, 0.625F,  -0.5F, 0.375F,  -0.75F, 0.125F};
  const StreamMix mix =
      stream_mix(m, std::vector<float>(24, 0.0F), std::vector<float>{1, 0.5F, 2}, {});
  const float pre[] = {0.622460F, 0.268942F, 0.562178F, 0.880798F};
  const float post[] = {1.000000F, 1.244919F, 0.755081F, 1.124353F};
  const float comb[4][4] = {{0.040810F, 0.130068F, 0.699052F, 0.130068F},
                            {0.699052F, 0.040809F, 0.219328F, 0.040810F},
                            {0.130068F, 0.414561F, 0.040809F, 0.414560F},
                            {0.130068F, 0.414561F, 0.040809F, 0.414560F}};
  for (size_t j = 0; j < 4; ++j) {
    CHECK(mix.pre[j] == Approx(pre[j]).margin(2e-6));
    CHECK(mix.post[j] == Approx(post[j]).margin(1e-6));
    for (size_t k = 0; k < 4; ++k) CHECK(mix.comb[j][k] == Approx(comb[j][k]).margin(2e-6));
  }
  for (const auto& backend : backends()) {
    INFO(backend->detail());
    float streams[] = {1, 2, 3, 4};
    const float f = 10;
    backend->merge_streams({.f = &f, .post = mix.post, .comb = &mix.comb[0][0]}, 1, 1, streams);
    const float want[] = {12.349393F, 15.562799F, 8.974187F, 14.357141F};
    for (size_t k = 0; k < 4; ++k) CHECK(streams[k] == Approx(want[k]).margin(1e-5));
  }
}

TEST_CASE("router scores and choices have the golden values") {
  std::vector<float> z{-2, -1, 0, 1, 2, 5};
  sqrt_softplus(z);
  const float want[] = {0.3562696F, 0.5596979F, 0.8325546F, 1.1459763F, 1.4583991F, 2.2375691F};
  for (size_t i = 0; i < z.size(); ++i) CHECK(z[i] == Approx(want[i]).margin(1e-6));

  std::vector<float> scores{0.3F, -0.7F, 1.2F, 0.1F, 2.0F, -1.5F, 0.9F, 0.4F};
  const std::vector<float> bias{0, 0.5F, -0.2F, 0.4F, -0.6F, 0.9F, 0, 0};
  sqrt_softplus(scores);
  std::vector<int32_t> chosen(3);
  std::vector<float> weights(3);
  route_by_score(scores, bias, 1.5F, chosen, weights);
  CHECK(chosen == std::vector<int32_t>{1, 3, 5});
  CHECK(weights[0] == Approx(0.489305).margin(1e-6));
  CHECK(weights[1] == Approx(0.664858).margin(1e-6));
  CHECK(weights[2] == Approx(0.345837).margin(1e-6));
}

TEST_CASE("the best scores are found with ties to the lower index, and NaN never wins") {
  const std::vector<float> scores{1, 3, 3, 2, 3, NAN, -0.0F, 0.0F};
  std::vector<int32_t> work(8), two(2), all(8);
  top_indices(scores, work, two);
  CHECK(two == std::vector<int32_t>{1, 2});
  std::vector<int32_t> seven(7);
  top_indices(scores, work, seven);
  CHECK(seven == std::vector<int32_t>{0, 1, 2, 3, 4, 6, 7});
  top_indices(scores, work, all);
  CHECK(all == std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("FP8 and FP4 rounding has the golden values") {
  std::vector<float> x{0.1F, -0.37F, 1.9F, -3.3F, 0.0123F};
  fake_quantize_fp8(x, 128);
  CHECK(x == std::vector<float>{0.1015625F, -0.375F, 1.875F, -3.25F, 0.0126953125F});
  std::vector<float> y{0.1F, -0.37F, 1.9F, -3.3F, 0.25F, 1.25F, 2.5F, 5};
  fake_quantize_fp4(y);
  CHECK(y == std::vector<float>{0, -0.5F, 2, -3, 0, 1, 2, 4});
}

TEST_CASE("the Hadamard rotation has the golden values") {
  std::vector<float> x(8);
  std::iota(x.begin(), x.end(), 1.0F);
  hadamard(x);
  const float want[] = {12.727922F, -1.414214F, -2.828427F, 0, -5.656854F, 0, 0, 0};
  for (size_t i = 0; i < 8; ++i) CHECK(x[i] == Approx(want[i]).margin(1e-5));
  std::vector<float> wide(128);
  std::iota(wide.begin(), wide.end(), 0.0F);
  hadamard(wide);
  CHECK(wide[0] == Approx(718.420490));
  CHECK(wide[1] == Approx(-5.656854));
  CHECK(wide[4] == Approx(-22.627417));
  CHECK(wide[64] == Approx(-362.038672));
  CHECK(wide[127] == Approx(0).margin(1e-4));
}

TEST_CASE("attention with a sink has the golden weights") {
  // Unit vectors as values make the output the probabilities themselves.
  constexpr size_t kDim = 128;
  std::vector<float> q(kDim, 0.0F), entries(3 * kDim, 0.0F), out(kDim);
  const float scores[] = {0.5F, -1, 2};
  q[100] = 1;
  for (size_t i = 0; i < 3; ++i) {
    entries[i * kDim + i] = 1;
    entries[i * kDim + 100] = scores[i];
  }
  const float sink = 1;
  const std::byte* at[3];
  for (size_t i = 0; i < 3; ++i) at[i] = reinterpret_cast<const std::byte*>(&entries[i * kDim]);
  for (const auto& backend : backends()) {
    INFO(backend->detail());
    const AttendRow row{.q = q.data(), .window = {0, 2}, .compressed = {2, 3}, .out = out.data()};
    const AttendGroup group{.entries = at, .n_entries = 3, .rows = {&row, 1}};
    backend->attend({.n_heads = 1, .head_dim = kDim, .scale = 1, .sinks = &sink}, {&group, 1}, {});
    CHECK(out[0] == Approx(0.135989).margin(1e-6));
    CHECK(out[1] == Approx(0.030343).margin(1e-6));
    CHECK(out[2] == Approx(0.609460).margin(1e-6));
  }
}

TEST_CASE("SwiGLU with its clamps has the golden values") {
  const float gate[] = {1, 12, -20}, up[] = {2, -15, 3};
  for (const auto& backend : backends()) {
    INFO(backend->detail());
    float out[3];
    backend->swiglu(gate, up, 10, {}, 1, 3, out);
    CHECK(out[0] == Approx(1.462117).margin(1e-6));
    CHECK(out[1] == Approx(-99.995460).margin(1e-4));
    CHECK(out[2] == Approx(-1.2e-7).margin(2e-8));
  }
}

TEST_CASE("pooling of overlapping blocks has the golden values") {
  // Values (low, high) of token t are (10t, 10t+1), gates (0.1t, -0.1t) plus the ape rows.
  const float ape[4][2] = {{0, 0.5F}, {0.1F, 0.4F}, {0.2F, 0.3F}, {0.3F, 0.2F}};
  std::vector<std::vector<float>> values, gates;  // [token * 2 + half], one channel, padded to 16
  for (size_t t = 0; t < 8; ++t) {
    for (size_t half = 0; half < 2; ++half) {
      const auto tf = static_cast<float>(t);
      values.emplace_back(16, 10 * tf + static_cast<float>(half));
      gates.emplace_back(16, (half == 0 ? 0.1F : -0.1F) * tf + ape[t % 4][half]);
    }
  }
  std::vector<const float*> v0, g0, v1, g1;
  for (size_t t = 0; t < 4; ++t) {
    v0.push_back(values[2 * t + 1].data());
    g0.push_back(gates[2 * t + 1].data());
    v1.push_back(values[2 * t].data());
    g1.push_back(gates[2 * t].data());
  }
  for (size_t t = 4; t < 8; ++t) {
    v1.push_back(values[2 * t + 1].data());
    g1.push_back(gates[2 * t + 1].data());
  }
  for (const auto& backend : backends()) {
    INFO(backend->detail());
    std::vector<float> out(32);
    const PoolJob jobs[] = {{v0.data(), g0.data(), 4, out.data()},
                            {v1.data(), g1.data(), 8, out.data() + 16}};
    backend->pool(jobs, 16);
    CHECK(out[0] == Approx(13.5279068).margin(1e-5));
    CHECK(out[16] == Approx(31.0846292).margin(1e-5));
  }
}
