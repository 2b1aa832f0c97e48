// Which tensors a conversion writes, and as what.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "inference/files/convert.h"

namespace sable::inference {

/// One tensor of the output. `sources` are the matrices stacked in it: one, or all experts of a
/// layer.
struct PlannedTensor {
  std::string name;  ///< as the output container calls it
  DType type;
  std::vector<uint64_t> shape;  ///< elements, row-major, the stack first
  std::vector<const Tensor*> sources;

  /// Bytes of the elements, and of the E8M0 scales that official formats store beside them.
  uint64_t element_bytes() const;
  uint64_t scale_bytes() const;
  std::vector<uint64_t> scale_shape() const;
};

struct ConvertPlan {
  std::vector<PlannedTensor> trunk;
  std::vector<PlannedTensor> mtp;  ///< GGUF only: what goes to the second file
  std::vector<std::string> notes;
};

/// Decides types and order. Errors: invalid_input for types that the container cannot hold.
Result<ConvertPlan> plan_conversion(const Checkpoint& model, const ConvertOptions& options);

}  // namespace sable::inference
