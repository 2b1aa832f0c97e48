// Products of FP32 matrices in memory, on the calling thread: all that training needs of a BLAS.
//
// The order of additions depends on the shape alone, so results are the same on any number of
// threads.
#pragma once

#include <cstddef>

namespace sable::training {

/// The left operand: element (i, k) is at[i * row + k * col], so a transposed matrix is one with
/// row 1.
struct Left {
  const float* at;
  size_t row;
  size_t col = 1;
};

/// What happens to the old content of the result.
enum class Into { replace, add };

/// c [m, n] = a [m, k] * b [k, n], or c += that. Rows of b and c are b_row and c_row apart and
/// contiguous; c overlaps neither operand.
void multiply(size_t m, size_t n, size_t k, Left a, const float* b, size_t b_row, float* c,
              size_t c_row, Into into = Into::replace);

/// out [cols, rows] = the transpose of in [rows, cols].
void transpose(const float* in, size_t rows, size_t cols, size_t in_row, float* out,
               size_t out_row);

}  // namespace sable::training
