// Reads every weight of a model: numbers that are none, ranges, checksums.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/json.h"
#include "base/result.h"
#include "inference/files/checkpoint.h"
#include "inference/files/progress.h"

namespace sable::inference {

struct VerifyOptions {
  int n_threads = 1;
  ProgressCallback progress = {};  ///< called under a lock, from any of the threads
  std::stop_token stop = {};
};

struct TensorCheck {
  std::string name;
  DType type;
  std::vector<uint64_t> shape;
  Digest sha256;  ///< of the stored bytes, then of the scales
  uint64_t n_nan = 0, n_infinite = 0;
  float min = 0, max = 0;  ///< of the finite values
  std::string problem;     ///< a sentence, empty when all is well
};

struct VerifyReport {
  std::vector<TensorCheck> tensors;  ///< in the order of Checkpoint::tensors()
  Digest sha256;  ///< of "NAME TYPE SHAPE DIGEST\n" over all tensors, sorted by name
  uint64_t bytes = 0;

  bool ok() const;
};

/// Problems are NaN, infinity, a matrix that is all zero, a token routed twice to one expert. They
/// are findings, not errors; the only errors are cancelled and exhausted.
Result<VerifyReport> verify(const Checkpoint& model, const VerifyOptions& options);

Json to_json(const VerifyReport& report);

/// One line for each problem and one that sums up.
std::string to_text(const VerifyReport& report);

}  // namespace sable::inference
