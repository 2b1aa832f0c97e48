#include "training/matrix_product.h"

#include <algorithm>
#include <cstring>

#include "training/lanes.h"

namespace sable::training {

namespace {

// A tile of the result lives in registers: 8 rows of 3 vectors leave room for the operands.
constexpr size_t kTileRows = 8, kTileVectors = 3;
// A panel of b (48 columns) for this many k stays in the first-level caches.
constexpr size_t kDepth = 256;

template <size_t Rows, size_t Vectors>
void tile(size_t k, const Left& a, const float* b, size_t b_row, float* c, size_t c_row, bool add) {
  Lanes sum[Rows][Vectors] = {};
  for (size_t i = 0; i < k; ++i) {
    Lanes right[Vectors];
#pragma clang loop unroll(full)
    for (size_t v = 0; v < Vectors; ++v) right[v] = load_lanes(b + i * b_row + v * kLanes);
#pragma clang loop unroll(full)
    for (size_t r = 0; r < Rows; ++r) {
      const Lanes left = all_lanes(a.at[r * a.row + i * a.col]);
#pragma clang loop unroll(full)
      for (size_t v = 0; v < Vectors; ++v) sum[r][v] += left * right[v];
    }
  }
#pragma clang loop unroll(full)
  for (size_t r = 0; r < Rows; ++r) {
#pragma clang loop unroll(full)
    for (size_t v = 0; v < Vectors; ++v) {
      float* const at = c + r * c_row + v * kLanes;
      store_lanes(at, add ? load_lanes(at) + sum[r][v] : sum[r][v]);
    }
  }
}

template <size_t Vectors>
void tile_of_rows(size_t rows, size_t k, const Left& a, const float* b, size_t b_row, float* c,
                  size_t c_row, bool add) {
  switch (rows) {
    case 1:
      return tile<1, Vectors>(k, a, b, b_row, c, c_row, add);
    case 2:
      return tile<2, Vectors>(k, a, b, b_row, c, c_row, add);
    case 3:
      return tile<3, Vectors>(k, a, b, b_row, c, c_row, add);
    case 4:
      return tile<4, Vectors>(k, a, b, b_row, c, c_row, add);
    case 5:
      return tile<5, Vectors>(k, a, b, b_row, c, c_row, add);
    case 6:
      return tile<6, Vectors>(k, a, b, b_row, c, c_row, add);
    case 7:
      return tile<7, Vectors>(k, a, b, b_row, c, c_row, add);
    default:
      return tile<8, Vectors>(k, a, b, b_row, c, c_row, add);
  }
}

template <size_t Vectors>
void panel(size_t m, size_t k, const Left& a, const float* b, size_t b_row, float* c, size_t c_row,
           bool add) {
  for (size_t i = 0; i < m; i += kTileRows) {
    tile_of_rows<Vectors>(std::min(kTileRows, m - i), k, {a.at + i * a.row, a.row, a.col}, b, b_row,
                          c + i * c_row, c_row, add);
  }
}

/// Fewer than 16 columns: through copies that are padded with zeros.
void narrow_panel(size_t m, size_t n, size_t k, const Left& a, const float* b, size_t b_row,
                  float* c, size_t c_row, bool add) {
  float right[kDepth * kLanes], out[kTileRows * kLanes];
  std::memset(right, 0, k * kLanes * sizeof(float));
  for (size_t i = 0; i < k; ++i) std::copy_n(b + i * b_row, n, right + i * kLanes);
  for (size_t i = 0; i < m; i += kTileRows) {
    const size_t rows = std::min(kTileRows, m - i);
    tile_of_rows<1>(rows, k, {a.at + i * a.row, a.row, a.col}, right, kLanes, out, kLanes, false);
    for (size_t r = 0; r < rows; ++r) {
      float* const at = c + (i + r) * c_row;
      for (size_t j = 0; j < n; ++j) at[j] = (add ? at[j] : 0.0F) + out[r * kLanes + j];
    }
  }
}

}  // namespace

void multiply(size_t m, size_t n, size_t k, Left a, const float* b, size_t b_row, float* c,
              size_t c_row, Into into) {
  if (k == 0 && into == Into::replace) {
    for (size_t i = 0; i < m; ++i) std::fill_n(c + i * c_row, n, 0.0F);
  }
  for (size_t k0 = 0; k0 < k; k0 += kDepth) {
    const size_t depth = std::min(kDepth, k - k0);
    const bool add = into == Into::add || k0 > 0;
    const Left left{a.at + k0 * a.col, a.row, a.col};
    const float* const right = b + k0 * b_row;
    size_t j = 0;
    for (; j + kTileVectors * kLanes <= n; j += kTileVectors * kLanes)
      panel<3>(m, depth, left, right + j, b_row, c + j, c_row, add);
    for (; j + 2 * kLanes <= n; j += 2 * kLanes)
      panel<2>(m, depth, left, right + j, b_row, c + j, c_row, add);
    for (; j + kLanes <= n; j += kLanes)
      panel<1>(m, depth, left, right + j, b_row, c + j, c_row, add);
    if (j < n) narrow_panel(m, n - j, depth, left, right + j, b_row, c + j, c_row, add);
  }
}

void transpose(const float* in, size_t rows, size_t cols, size_t in_row, float* out,
               size_t out_row) {
  constexpr size_t kBlock = 16;
  for (size_t r0 = 0; r0 < rows; r0 += kBlock) {
    const size_t r1 = std::min(rows, r0 + kBlock);
    for (size_t c = 0; c < cols; ++c) {
      for (size_t r = r0; r < r1; ++r) out[c * out_row + r] = in[r * in_row + c];
    }
  }
}

}  // namespace sable::training
