#include "training/linear.h"

#include "inference/kernels/quantize.h"

namespace sable::training {

const float* rounded_input(const Roundings& roundings, const float* x, size_t n, size_t width,
                           std::vector<float>& copy) {
  if (!roundings.activations) return x;
  copy.assign(x, x + n * width);
  for (size_t i = 0; i < n; ++i)
    inference::fake_quantize_fp8({copy.data() + i * width, width}, 128);
  return copy.data();
}

}  // namespace sable::training
