// FP8 and FP4 rounding of activations, and the packed cache formats that hold exactly such values.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sable::inference {

/// Rounds each group of `group` values to FP8 E4M3 under one power-of-two scale, in place.
/// 128 for the input of a quantised matrix, 64 for KV entries. A last, shorter group is allowed.
void fake_quantize_fp8(std::span<float> x, size_t group);

/// Rounds each group of 32 to FP4 E2M1 under one power-of-two scale, in place.
void fake_quantize_fp4(std::span<float> x);

/// Multiplies by the normalised Hadamard matrix in Sylvester order, in place; the size is a power
/// of two.
void hadamard(std::span<float> x);

/// One KV entry, window or compressed, of `head_dim` values: FP8 for all but the last `rope_dim`,
/// those as BF16, one E8M0 scale for each 64 FP8 values, padding to 8 bytes. 584 bytes for 512
/// and 64.
struct PackedEntryShape {
  size_t head_dim = 0, rope_dim = 0;
  size_t n_fp8() const { return head_dim - rope_dim; }
  size_t n_scales() const { return (n_fp8() + 63) / 64; }
  size_t bytes() const { return (n_fp8() + 2 * rope_dim + n_scales() + 7) / 8 * 8; }
};

/// Rounds and packs; unpacking gives fake_quantize_fp8(group 64) of the first part and BF16 of the
/// rest.
void pack_entry(const PackedEntryShape& shape, std::span<const float> x, std::byte* out);
void unpack_entry(const PackedEntryShape& shape, const std::byte* packed, std::span<float> out);

/// Bytes of one index key of `n` values: two FP4 codes a byte (low nibble first), then an E8M0
/// scale for each 32. 68 for 128.
inline size_t packed_key_bytes(size_t n) { return n / 2 + n / 32; }

/// Rounds and packs; unpacking gives fake_quantize_fp4 of the input.
void pack_key(std::span<const float> x, std::byte* out);
void unpack_key(const std::byte* packed, std::span<float> out);

}  // namespace sable::inference
