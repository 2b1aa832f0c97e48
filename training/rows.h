// What is done to rows of activations one by one, forwards and backwards: norms and rotations.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sable::training {

/// x [n_rows, n], row-major, to y = weight * x * r with r = 1/sqrt(mean(x^2) + eps); `weight` null
/// for none. r [n_rows] is kept for the way back. y may be x.
void rms_norm(const float* x, const float* weight, size_t n_rows, size_t n, float eps, float* y,
              float* r);

/// dx = the gradient of x (replaced; may be dy), dweight += that of the weight (null for none).
void rms_norm_backward(const float* dy, const float* x, const float* weight, const float* r,
                       size_t n_rows, size_t n, float* dx, float* dweight);

/// The same from the result of a norm without weight, y = x * r.
void unit_norm_backward(const float* dy, const float* y, const float* r, size_t n_rows, size_t n,
                        float* dx);

/// Cosines and sines [n_positions, n_pairs] of the angles of the given positions.
struct Rotations {
  std::vector<float> cos, sin;
  size_t n_pairs = 0;

  /// Positions 0, step, 2 * step, ...
  void fill(std::span<const float> theta, size_t n_positions, size_t step = 1);
};

/// Turns the last 2 * n_pairs of each of n_heads vectors of `dim` numbers; row i by position i.
/// The way back is the inverse turn.
void rotate_rows(float* x, size_t n_rows, size_t n_heads, size_t dim, const Rotations& rotations,
                 bool inverse);

/// y += x.
void add_to(float* y, const float* x, size_t n);

}  // namespace sable::training
