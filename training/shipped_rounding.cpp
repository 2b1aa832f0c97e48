#include "training/shipped_rounding.h"

#include <algorithm>

#include "inference/files/number_formats.h"
#include "training/rounding.h"

namespace sable::training {

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
        round_matrix_fp8(from, p.rows, p.cols, to);
        break;
      case Stored::fp4:
        round_matrix_fp4(from, p.rows, p.cols, to);
        break;
    }
  }
}

}  // namespace sable::training
