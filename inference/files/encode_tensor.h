// One stored tensor into the bytes of another type, a band of rows at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "inference/files/tensor.h"

namespace sable::inference {

/// Takes bytes in order; an error stops the encoding and is passed on.
using ByteSink = std::function<Result<void>(std::span<const std::byte>)>;

/// Sends `source` as `type` to `sink`, at most 128 rows in memory; E8M0 scales of the official
/// formats are appended to `scales`, row-major. Same type copies bytes; FP4 and MXFP4 swap layouts
/// without rounding; all else goes through FP32. Errors: corrupt for non-finite values (with row
/// and column), and the sink's.
Result<void> encode_tensor(const Tensor& source, DType type, const ByteSink& sink,
                           std::vector<std::byte>& scales);

}  // namespace sable::inference
