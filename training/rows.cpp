#include "training/rows.h"

#include <cmath>

#include "inference/kernels/rope.h"

namespace sable::training {

void rms_norm(const float* x, const float* weight, size_t n_rows, size_t n, float eps, float* y,
              float* r) {
  for (size_t row = 0; row < n_rows; ++row, x += n, y += n) {
    float sum = 0;
    for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
    const float factor = 1.0F / std::sqrt(sum / static_cast<float>(n) + eps);
    r[row] = factor;
    if (weight == nullptr) {
      for (size_t i = 0; i < n; ++i) y[i] = x[i] * factor;
    } else {
      for (size_t i = 0; i < n; ++i) y[i] = weight[i] * (x[i] * factor);
    }
  }
}

void rms_norm_backward(const float* dy, const float* x, const float* weight, const float* r,
                       size_t n_rows, size_t n, float* dx, float* dweight) {
  for (size_t row = 0; row < n_rows; ++row, x += n, dy += n, dx += n) {
    const float factor = r[row];
    float sum = 0;
    for (size_t i = 0; i < n; ++i) sum += weight[i] * dy[i] * x[i];
    const float back = sum * factor * factor * factor / static_cast<float>(n);
    for (size_t i = 0; i < n; ++i) {
      const float g = dy[i];
      dweight[i] += g * x[i] * factor;
      dx[i] = factor * weight[i] * g - back * x[i];
    }
  }
}

void unit_norm_backward(const float* dy, const float* y, const float* r, size_t n_rows, size_t n,
                        float* dx) {
  for (size_t row = 0; row < n_rows; ++row, y += n, dy += n, dx += n) {
    float sum = 0;
    for (size_t i = 0; i < n; ++i) sum += dy[i] * y[i];
    const float back = sum / static_cast<float>(n);
    for (size_t i = 0; i < n; ++i) dx[i] = r[row] * (dy[i] - back * y[i]);
  }
}

void Rotations::fill(std::span<const float> theta, size_t n_positions, size_t step) {
  n_pairs = theta.size();
  cos.resize(n_positions * n_pairs);
  sin.resize(n_positions * n_pairs);
  for (size_t i = 0; i < n_positions; ++i) {
    inference::rope_angles(i * step, theta, {cos.data() + i * n_pairs, n_pairs},
                           {sin.data() + i * n_pairs, n_pairs});
  }
}

void rotate_rows(float* x, size_t n_rows, size_t n_heads, size_t dim, const Rotations& rotations,
                 bool inverse) {
  const size_t n = rotations.n_pairs;
  for (size_t row = 0; row < n_rows; ++row) {
    const float* const cos = rotations.cos.data() + row * n;
    const float* const sin = rotations.sin.data() + row * n;
    for (size_t h = 0; h < n_heads; ++h) {
      float* const v = x + (row * n_heads + h) * dim + dim - 2 * n;
      for (size_t i = 0; i < n; ++i) {
        const float a = v[2 * i], b = v[2 * i + 1], s = inverse ? -sin[i] : sin[i];
        v[2 * i] = a * cos[i] - b * s;
        v[2 * i + 1] = a * s + b * cos[i];
      }
    }
  }
}

void add_to(float* y, const float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] += x[i];
}

}  // namespace sable::training
