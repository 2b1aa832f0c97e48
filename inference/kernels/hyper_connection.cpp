#include "inference/kernels/hyper_connection.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sable::inference {

namespace {

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

void normalize_rows(float c[kStreams][kStreams], float eps) {
  for (size_t j = 0; j < kStreams; ++j) {
    float sum = 0;
    for (size_t k = 0; k < kStreams; ++k) sum += c[j][k];
    for (size_t k = 0; k < kStreams; ++k) c[j][k] /= sum + eps;
  }
}

void normalize_columns(float c[kStreams][kStreams], float eps) {
  for (size_t k = 0; k < kStreams; ++k) {
    float sum = 0;
    for (size_t j = 0; j < kStreams; ++j) sum += c[j][k];
    for (size_t j = 0; j < kStreams; ++j) c[j][k] /= sum + eps;
  }
}

void softmax_rows(float z[kStreams][kStreams], float eps) {
  for (size_t j = 0; j < kStreams; ++j) {
    const float top = *std::max_element(z[j], z[j] + kStreams);
    float sum = 0;
    for (size_t k = 0; k < kStreams; ++k) {
      z[j][k] = std::exp(z[j][k] - top);
      sum += z[j][k];
    }
    for (size_t k = 0; k < kStreams; ++k) z[j][k] = z[j][k] / sum + eps;
  }
}

}  // namespace

void balance(float comb[kStreams][kStreams], const StreamMixSettings& settings) {
  normalize_columns(comb, settings.eps);
  for (int i = 1; i < settings.sinkhorn_iterations; ++i) {
    normalize_rows(comb, settings.eps);
    normalize_columns(comb, settings.eps);
  }
}

StreamMix unbalanced_stream_mix(std::span<const float> m, std::span<const float> base,
                                std::span<const float> scale, const StreamMixSettings& settings) {
  SABLE_CHECK(m.size() == kMixes && base.size() == kMixes && scale.size() == 3);
  StreamMix mix;
  for (size_t j = 0; j < kStreams; ++j) {
    mix.pre[j] = sigmoid(m[j] * scale[0] + base[j]) + settings.eps;
    mix.post[j] = 2.0F * sigmoid(m[kStreams + j] * scale[1] + base[kStreams + j]);
    for (size_t k = 0; k < kStreams; ++k) {
      const size_t i = (2 + j) * kStreams + k;
      mix.comb[j][k] = m[i] * scale[2] + base[i];
    }
  }
  softmax_rows(mix.comb, settings.eps);
  return mix;
}

StreamMix stream_mix(std::span<const float> m, std::span<const float> base,
                     std::span<const float> scale, const StreamMixSettings& settings) {
  StreamMix mix = unbalanced_stream_mix(m, base, scale, settings);
  balance(mix.comb, settings);
  return mix;
}

void head_mix(std::span<const float> m, std::span<const float> base, float scale, float eps,
              std::span<float> pre) {
  SABLE_CHECK(m.size() == kStreams && base.size() == kStreams && pre.size() == kStreams);
  for (size_t j = 0; j < kStreams; ++j) pre[j] = sigmoid(m[j] * scale + base[j]) + eps;
}

}  // namespace sable::inference
