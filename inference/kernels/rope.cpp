#include "inference/kernels/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace sable::inference {

namespace {

std::vector<float> frequencies(double base, int64_t dim) {
  std::vector<float> theta(static_cast<size_t>(dim / 2));
  for (size_t i = 0; i < theta.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    theta[i] = 1.0F / std::pow(static_cast<float>(base), exponent);
  }
  return theta;
}

/// The (fractional) index whose wave turns `rotations` times within the original context.
double index_of_rotations(const ModelConfig& config, double rotations) {
  const auto original = static_cast<double>(config.rope_original_max_position_embeddings);
  const auto dim = static_cast<double>(config.qk_rope_head_dim);
  return dim * std::log(original / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.compress_rope_theta));
}

}  // namespace

std::vector<float> plain_rope_frequencies(const ModelConfig& config) {
  return frequencies(config.rope_theta, config.qk_rope_head_dim);
}

std::vector<float> compressed_rope_frequencies(const ModelConfig& config) {
  const int64_t dim = config.qk_rope_head_dim;
  std::vector<float> theta = frequencies(config.compress_rope_theta, dim);
  const double low = std::max(std::floor(index_of_rotations(config, config.rope_beta_fast)), 0.0);
  double high = std::min(std::ceil(index_of_rotations(config, config.rope_beta_slow)),
                         static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < theta.size(); ++i) {
    const float ramp =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float keep = 1.0F - std::clamp(ramp, 0.0F, 1.0F);
    theta[i] = theta[i] / static_cast<float>(config.rope_factor) * (1.0F - keep) + theta[i] * keep;
  }
  return theta;
}

void rope_angles(uint64_t position, std::span<const float> theta, std::span<float> cos,
                 std::span<float> sin) {
  SABLE_CHECK(cos.size() == theta.size() && sin.size() == theta.size());
  for (size_t i = 0; i < theta.size(); ++i) {
    const float angle = static_cast<float>(position) * theta[i];
    // In double, so that the full range reduction is exact for the FP32 angle.
    cos[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
    sin[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
  }
}

void rotate(std::span<float> x, std::span<const float> cos, std::span<const float> sin,
            bool inverse) {
  SABLE_CHECK(x.size() == 2 * cos.size() && sin.size() == cos.size());
  for (size_t i = 0; i < cos.size(); ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    const float s = inverse ? -sin[i] : sin[i];
    x[2 * i] = a * cos[i] - b * s;
    x[2 * i + 1] = a * s + b * cos[i];
  }
}

}  // namespace sable::inference
