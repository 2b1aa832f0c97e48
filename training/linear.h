// A trained matrix inside one pass: its values both ways round, where its gradient goes, and how
// its inputs are rounded.
#pragma once

#include <cstddef>
#include <vector>

#include "training/matrix_product.h"
#include "training/parameters.h"

namespace sable::training {

/// The numbers that a pass computes with, and the gradients that it adds to; all laid out as
/// Parameters says. `transposed` holds each matrix [rows, cols] as [cols, rows] at the same offset.
struct Pointers {
  const float* values = nullptr;
  const float* transposed = nullptr;
  float* gradient = nullptr;
};

/// y = W x for rows: x [n, in], y [n, out].
struct Linear {
  const float* values;      ///< [out, in]
  const float* transposed;  ///< [in, out]
  float* gradient;          ///< [out, in]
  size_t out, in;

  static Linear at(const Pointers& p, size_t offset, size_t out, size_t in) {
    return {p.values + offset, p.transposed + offset,
            p.gradient == nullptr ? nullptr : p.gradient + offset, out, in};
  }

  void forward(size_t n, const float* x, float* y) const {
    multiply(n, out, in, {x, in}, transposed, out, y, out);
  }
  void backward_input(size_t n, const float* dy, float* dx, Into into) const {
    multiply(n, in, out, {dy, out}, values, in, dx, in, into);
  }
  void backward_weight(size_t n, const float* dy, const float* x) const {
    multiply(out, in, n, {dy, 1, out}, x, in, gradient, in, Into::add);
  }
};

/// Which roundings of the shipped model the forward pass imitates; gradients pass through them as
/// if they were not there.
struct Roundings {
  bool entries = false;      ///< KV entries to FP8; indexer queries and keys rotated, to FP4
  bool activations = false;  ///< inputs of FP8 and FP4 matrices to FP8
};

/// x itself, or its rows rounded to FP8 in `copy`. n * width is x's size.
const float* rounded_input(const Roundings& roundings, const float* x, size_t n, size_t width,
                           std::vector<float>& copy);

}  // namespace sable::training
