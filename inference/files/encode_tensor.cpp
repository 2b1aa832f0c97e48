#include "inference/files/encode_tensor.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "inference/files/number_formats.h"
#include "inference/files/quantize.h"

namespace sable::inference {

namespace {

constexpr uint64_t kBandRows = 128;

struct Matrix {
  uint64_t rows, cols;
};

/// Vectors are one row.
Matrix matrix_of(const Tensor& tensor) {
  if (tensor.shape.size() < 2) return {1, tensor.n_elements()};
  return {tensor.rows(), tensor.cols()};
}

Result<void> copy(const Tensor& source, const ByteSink& sink, std::vector<std::byte>& scales) {
  constexpr size_t kPiece = size_t{4} << 20;
  for (size_t at = 0; at < source.bytes.size(); at += kPiece) {
    SABLE_TRY_VOID(sink(source.bytes.subspan(at, std::min(kPiece, source.bytes.size() - at))));
  }
  scales.insert(scales.end(), source.scales.begin(), source.scales.end());
  return {};
}

Result<void> integers(const Tensor& source, DType type, const ByteSink& sink) {
  SABLE_CHECK(source.type == DType::i64 || source.type == DType::i32);
  std::vector<std::byte> out(source.n_elements() * block_of(type).bytes);
  for (uint64_t i = 0; i < source.n_elements(); ++i) {
    if (type == DType::i32) {
      store_le(out.data() + 4 * i,
               static_cast<int32_t>(load_le<int64_t>(source.bytes.data() + 8 * i)));
    } else {
      store_le(out.data() + 8 * i,
               static_cast<int64_t>(load_le<int32_t>(source.bytes.data() + 4 * i)));
    }
  }
  return sink(out);
}

Result<void> fp4_to_mxfp4(const Tensor& source, const ByteSink& sink) {
  const uint64_t groups = source.cols() / 32;
  std::vector<std::byte> blocks(17 * groups);
  for (uint64_t row = 0; row < source.rows(); ++row) {
    mxfp4_from_fp4_row(source.bytes.subspan(row * 16 * groups, 16 * groups),
                       source.scales.subspan(row * groups, groups), blocks);
    SABLE_TRY_VOID(sink(blocks));
  }
  return {};
}

Result<void> mxfp4_to_fp4(const Tensor& source, const ByteSink& sink,
                          std::vector<std::byte>& scales) {
  const uint64_t groups = source.cols() / 32;
  std::vector<std::byte> codes(16 * groups), row_scales(groups);
  for (uint64_t row = 0; row < source.rows(); ++row) {
    fp4_from_mxfp4_row(source.bytes.subspan(row * 17 * groups, 17 * groups), codes, row_scales);
    scales.insert(scales.end(), row_scales.begin(), row_scales.end());
    SABLE_TRY_VOID(sink(codes));
  }
  return {};
}

Result<void> check_finite(const Tensor& source, uint64_t first_row, uint64_t cols,
                          std::span<const float> band) {
  const auto bad =
      std::find_if(band.begin(), band.end(), [](float x) { return !std::isfinite(x); });
  if (bad == band.end()) return {};
  const auto at = static_cast<uint64_t>(bad - band.begin());
  return fail(ErrorCode::corrupt,
              fmt::format("tensor \"{}\": not a finite number at row {}, column {}",
                          escape_controls(source.name), first_row + at / cols, at % cols));
}

void encode_band(DType type, uint64_t cols, std::span<const float> band,
                 std::vector<std::byte>& out, std::vector<std::byte>& scales) {
  const BlockShape block = block_of(type);
  const uint64_t rows = band.size() / cols, row_bytes = cols / block.elements * block.bytes;
  out.resize(rows * row_bytes);
  if (type == DType::f8_e4m3) {
    std::vector<std::byte> tiles((cols + 127) / 128);
    quantize_fp8_band(band, cols, out, tiles);
    scales.insert(scales.end(), tiles.begin(), tiles.end());
    return;
  }
  std::vector<std::byte> groups(type == DType::f4_e2m1 ? cols / 32 : 0);
  for (uint64_t row = 0; row < rows; ++row) {
    const std::span<std::byte> to = std::span(out).subspan(row * row_bytes, row_bytes);
    if (type == DType::f4_e2m1) {
      quantize_fp4_row(band.subspan(row * cols, cols), to, groups);
      scales.insert(scales.end(), groups.begin(), groups.end());
    } else {
      quantize_row(type, band.subspan(row * cols, cols), to);
    }
  }
}

}  // namespace

Result<void> encode_tensor(const Tensor& source, DType type, const ByteSink& sink,
                           std::vector<std::byte>& scales) {
  if (source.type == type) return copy(source, sink, scales);
  if (type == DType::i32 || type == DType::i64) return integers(source, type, sink);
  if (source.type == DType::f4_e2m1 && type == DType::mxfp4) return fp4_to_mxfp4(source, sink);
  if (source.type == DType::mxfp4 && type == DType::f4_e2m1)
    return mxfp4_to_fp4(source, sink, scales);
  const Matrix m = matrix_of(source);
  std::vector<float> band(std::min(kBandRows, m.rows) * m.cols);
  std::vector<std::byte> out;
  for (uint64_t first = 0; first < m.rows; first += kBandRows) {
    const uint64_t rows = std::min(kBandRows, m.rows - first);
    const std::span<float> now = std::span(band).first(rows * m.cols);
    for (uint64_t row = 0; row < rows; ++row) {
      dequantize_row(source, first + row, now.subspan(row * m.cols, m.cols));
    }
    SABLE_TRY_VOID(check_finite(source, first, m.cols, now));
    encode_band(type, m.cols, now, out, scales);
    SABLE_TRY_VOID(sink(out));
  }
  return {};
}

}  // namespace sable::inference
