// A stored matrix as kernels see it: rows of encoded numbers, decoded on the way into the product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "inference/files/tensor.h"

namespace sable::inference {

/// A view of one 2-D tensor [rows, cols]; the checkpoint owns the bytes and the tensor.
struct Weight {
  const Tensor* tensor = nullptr;
  DType type = DType::f32;
  uint64_t rows = 0, cols = 0;
  const std::byte* bytes = nullptr;
  const std::byte* scales = nullptr;  ///< E8M0, of f8_e4m3 (128x128) and f4_e2m1 (1x32)
  size_t row_bytes = 0;
  size_t scale_row_bytes = 0;  ///< from one row of scales to the next

  static Weight of(const Tensor& tensor);

  /// Whether the official kernels round the input of this matrix to FP8.
  bool quantizes_activations() const { return type == DType::f8_e4m3 || type == DType::f4_e2m1; }

  const std::byte* row(uint64_t r) const { return bytes + r * row_bytes; }
  const std::byte* scale_row(uint64_t r) const {
    return scales + (type == DType::f8_e4m3 ? r / 128 : r) * scale_row_bytes;
  }
  /// Bytes that a product with rows of this matrix reads.
  uint64_t bytes_of_rows(uint64_t n_rows) const;
};

/// One product: y[t][r] = sum_i weight[row_begin + r][i] * x[t][i], for n_rows rows and n_tokens
/// tokens.
struct MatmulJob {
  const Weight* weight = nullptr;
  uint64_t row_begin = 0, n_rows = 0;
  const float* x = nullptr;  ///< [n_tokens, cols], rows `x_stride` apart
  size_t x_stride = 0;
  const float* const* x_rows = nullptr;  ///< [n_tokens]: the rows themselves, instead
  float* y = nullptr;                    ///< [n_tokens, n_rows], rows `y_stride` apart
  size_t y_stride = 0;
  size_t n_tokens = 0;

  const float* x_row(size_t t) const { return x_rows != nullptr ? x_rows[t] : x + t * x_stride; }
  bool has_vectors_of(const MatmulJob& other) const {
    return x == other.x && x_rows == other.x_rows && x_stride == other.x_stride &&
           n_tokens == other.n_tokens && weight->cols == other.weight->cols;
  }
  /// The same for n tokens from the t-th on.
  MatmulJob tokens(size_t t, size_t n) const {
    MatmulJob some = *this;
    if (x_rows != nullptr) {
      some.x_rows += t;
    } else {
      some.x += t * x_stride;
    }
    some.y += t * y_stride;
    some.n_tokens = n;
    return some;
  }
};

}  // namespace sable::inference
