// One stored tensor: where its bytes lie and how they encode numbers. A view; the file owns the
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sable::inference {

/// How elements are stored. Block formats name ggml's layout (ggml-common.h) or the official one.
enum class DType : uint8_t {
  f32,
  f16,
  bf16,
  i8,
  i32,
  i64,
  f8_e4m3,  ///< with 128x128 E8M0 scales in Tensor::scales (official checkpoints)
  f4_e2m1,  ///< two a byte, low nibble first, with 1x32 E8M0 scales in Tensor::scales (official)
  f8_e8m0,  ///< bare exponents
  q8_0,     ///< 32 a block: f16 scale, 32 i8
  mxfp4,    ///< 32 a block: E8M0 scale, 16 bytes (low nibbles first half, high nibbles second half)
  q2_k,
  q4_k,
  q5_k,
  q6_k,
  iq2_xxs,
};

std::string_view name_of(DType type);

/// Elements in one block of the format (1 for plain formats; 2 for f4_e2m1) and its bytes.
struct BlockShape {
  uint32_t elements;
  uint32_t bytes;
};
BlockShape block_of(DType type);

/// A view of one stored tensor. Row-major; `shape` counts *elements* (so an official FP4 weight
/// stored as I8 [out, in/2] appears as f4_e2m1 [out, in]). A linear weight is [out, in].
struct Tensor {
  std::string name;  ///< official name, e.g. "layers.2.attn.wq_a.weight"
  DType type = DType::f32;
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;  ///< the elements; at least as aligned as the file has it
  std::span<const std::byte>
      scales;  ///< E8M0 bytes, row-major: f8_e4m3 [ceil(out/128), ceil(in/128)],
               ///< f4_e2m1 [out, in/32]; empty for other formats

  uint64_t n_elements() const;
  uint64_t rows() const { return shape.empty() ? 1 : shape.front(); }
  uint64_t cols() const { return shape.empty() ? 1 : n_elements() / shape.front(); }
};

/// Decodes row `row` of a 2-D (or the elements of a 1-D, row 0) tensor to FP32, exactly: plain
/// loops, the definition of correct for every format. `out` has cols() elements.
void dequantize_row(const Tensor& tensor, uint64_t row, std::span<float> out);

}  // namespace sable::inference
