#include "inference/kernels/weight.h"

namespace sable::inference {

Weight Weight::of(const Tensor& tensor) {
  const BlockShape block = block_of(tensor.type);
  Weight w;
  w.tensor = &tensor;
  w.type = tensor.type;
  w.cols = tensor.shape.size() < 2 ? tensor.n_elements() : tensor.shape.back();
  w.rows = w.cols == 0 ? 0 : tensor.n_elements() / w.cols;
  w.bytes = tensor.bytes.data();
  w.scales = tensor.scales.data();
  w.row_bytes = w.cols / block.elements * block.bytes;
  if (tensor.type == DType::f8_e4m3) w.scale_row_bytes = (w.cols + 127) / 128;
  if (tensor.type == DType::f4_e2m1) w.scale_row_bytes = w.cols / 32;
  return w;
}

uint64_t Weight::bytes_of_rows(uint64_t n_rows) const {
  const uint64_t scale_rows = type == DType::f8_e4m3 ? (n_rows + 127) / 128 : n_rows;
  return n_rows * row_bytes + scale_rows * scale_row_bytes;
}

}  // namespace sable::inference
