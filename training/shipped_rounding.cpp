#include "training/shipped_rounding.h"

#include <algorithm>
#include <vector>

#include "inference/files/number_formats.h"
#include "inference/files/quantize.h"

namespace sable::training {

namespace {

constexpr size_t kBand = 128;

void round_fp8(const Parameter& p, const float* values, float* out) {
  std::vector<std::byte> codes(kBand * p.cols), scales((p.cols + kBand - 1) / kBand);
  for (size_t r0 = 0; r0 < p.rows; r0 += kBand) {
    const size_t n = std::min(kBand, p.rows - r0) * p.cols;
    inference::quantize_fp8_band({values + r0 * p.cols, n}, p.cols, {codes.data(), n}, scales);
    for (size_t i = 0; i < n; ++i) {
      out[r0 * p.cols + i] =
          inference::float_from_e4m3(static_cast<uint8_t>(codes[i])) *
          inference::float_from_e8m0(static_cast<uint8_t>(scales[i % p.cols / kBand]));
    }
  }
}

void round_fp4(const Parameter& p, const float* values, float* out) {
  std::vector<std::byte> codes(p.cols / 2), scales(p.cols / 32);
  for (size_t r = 0; r < p.rows; ++r) {
    inference::quantize_fp4_row({values + r * p.cols, p.cols}, codes, scales);
    for (size_t i = 0; i < p.cols; ++i) {
      const auto both = static_cast<uint8_t>(codes[i / 2]);
      out[r * p.cols + i] = inference::kE2m1[i % 2 == 0 ? both & 15 : both >> 4] *
                            inference::float_from_e8m0(static_cast<uint8_t>(scales[i / 32]));
    }
  }
}

}  // namespace

void round_to_shipped(const Parameters& parameters, size_t first, size_t last, const float* values,
                      float* out) {
  for (size_t i = first; i < last; ++i) {
    const Parameter& p = parameters.list()[i];
    const float* const from = values + p.offset;
    float* const to = out + p.offset;
    switch (p.stored) {
      case Stored::f32:
        std::copy_n(from, p.size(), to);
        break;
      case Stored::bf16:
        for (size_t j = 0; j < p.size(); ++j) {
          to[j] = inference::float_from_bf16(inference::bf16_from_float(from[j]));
        }
        break;
      case Stored::fp8:
        round_fp8(p, from, to);
        break;
      case Stored::fp4:
        round_fp4(p, from, to);
        break;
    }
  }
}

}  // namespace sable::training
