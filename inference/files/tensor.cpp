#include "inference/files/tensor.h"

#include "base/check.h"

namespace sable::inference {

namespace {

struct TypeFacts {
  std::string_view name;
  BlockShape block;
};

// Block sizes: ggml-org/llama.cpp ggml/src/ggml-common.h; FP8, FP4 and E8M0: OCP Microscaling 1.0.
TypeFacts facts_of(DType type) {
  switch (type) {
    case DType::f32:
      return {"F32", {1, 4}};
    case DType::f16:
      return {"F16", {1, 2}};
    case DType::bf16:
      return {"BF16", {1, 2}};
    case DType::i8:
      return {"I8", {1, 1}};
    case DType::i32:
      return {"I32", {1, 4}};
    case DType::i64:
      return {"I64", {1, 8}};
    case DType::f8_e4m3:
      return {"F8_E4M3", {1, 1}};
    case DType::f4_e2m1:
      return {"F4_E2M1", {2, 1}};
    case DType::f8_e8m0:
      return {"F8_E8M0", {1, 1}};
    case DType::q8_0:
      return {"Q8_0", {32, 34}};
    case DType::mxfp4:
      return {"MXFP4", {32, 17}};
    case DType::q2_k:
      return {"Q2_K", {256, 84}};
    case DType::q4_k:
      return {"Q4_K", {256, 144}};
    case DType::q5_k:
      return {"Q5_K", {256, 176}};
    case DType::q6_k:
      return {"Q6_K", {256, 210}};
    case DType::iq2_xxs:
      return {"IQ2_XXS", {256, 66}};
  }
  check_failed(__FILE__, __LINE__, "a DType of the enumeration");
}

}  // namespace

std::string_view name_of(DType type) { return facts_of(type).name; }

BlockShape block_of(DType type) { return facts_of(type).block; }

uint64_t Tensor::n_elements() const {
  uint64_t n = 1;
  for (const uint64_t dim : shape) n *= dim;
  return n;
}

}  // namespace sable::inference
