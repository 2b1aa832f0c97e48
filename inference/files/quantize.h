// FP32 rows into stored formats, for writing checkpoints. Plain loops; deterministic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/files/tensor.h"

namespace sable::inference {

/// Whether quantize_row writes this type: F32, F16, BF16, Q8_0, MXFP4, Q4_K, Q2_K.
bool can_quantize(DType type);

/// Encodes one row. `values` fill whole blocks of `type`; `out` has exactly their bytes. Non-finite
/// values are the caller's to refuse: block formats have no code for them.
void quantize_row(DType type, std::span<const float> values, std::span<std::byte> out);

/// Official FP4: `codes` [cols/2], `scales` [cols/32], E8M0. cols is a multiple of 32.
void quantize_fp4_row(std::span<const float> values, std::span<std::byte> codes,
                      std::span<std::byte> scales);

/// Official FP8: a band of up to 128 rows, row-major [rows, cols]; `codes` [rows, cols],
/// `scales` [ceil(cols/128)].
void quantize_fp8_band(std::span<const float> values, uint64_t cols, std::span<std::byte> codes,
                       std::span<std::byte> scales);

/// Moves the same FP4 codes and exponents between the official layout and MXFP4 blocks, bit for
/// bit.
void mxfp4_from_fp4_row(std::span<const std::byte> codes, std::span<const std::byte> scales,
                        std::span<std::byte> blocks);
void fp4_from_mxfp4_row(std::span<const std::byte> blocks, std::span<std::byte> codes,
                        std::span<std::byte> scales);

}  // namespace sable::inference
