// Numbers rounded to the FP8 and FP4 grids of the model's formats, many at a time: the same results
// as the inference core's own quantisers, which a test compares, at vector speed.
#pragma once

#include <cstddef>

namespace sable::training {

/// Groups of `group` numbers (a last, shorter one is allowed) under one power-of-two scale each, to
/// FP8 E4M3: inputs of matrices (128) and cache entries (64).
void round_rows_fp8(float* x, size_t n, size_t group);

/// Groups of 32 to FP4 E2M1: index queries and keys, after their rotation.
void round_rows_fp4(float* x, size_t n);

/// Weights as the converter stores them: blocks of 128x128 to FP8; 32 numbers of a row to FP4. out
/// may be in.
void round_matrix_fp8(const float* in, size_t rows, size_t cols, float* out);
void round_matrix_fp4(const float* in, size_t rows, size_t cols, float* out);

}  // namespace sable::training
