// The golden logits of DeepSeek's own code, and a runner that computes the same with our graph.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "inference/graph/forward.h"
#include "inference/kernels/lane_kernels.h"
#include "inference/kernels/worker_pool.h"

namespace sable::inference::test {

/// One X.json with its X.f32 (tests/golden/oracle/README.md).
struct Golden {
  Json json;
  std::vector<float> values;
  std::vector<int32_t> ids;

  static Golden read(const std::string& name);
  std::string arguments() const;                                 ///< of make_mini.py
  std::vector<size_t> positions() const;                         ///< of the rows of a logits file
  std::span<const float> tensor(const std::string& name) const;  ///< of a trace or streams file
};

/// How far two sets of rows lie apart, in the words of the JSON tolerances.
struct Distance {
  double max_abs = 0, mean_abs = 0, argmax_agreement = 0, close_positions = 0;
};
Distance distance(std::span<const float> got, std::span<const float> want, size_t width);

struct RunSettings {
  GraphSettings graph;
  bool reference_backend = false;
  const LaneKernels* kernels = nullptr;  ///< null: the best
  size_t n_threads = 2, rows_max = 64;
};

/// A model with a graph over it.
class Rig {
 public:
  Rig(const std::string& make_mini_arguments, const RunSettings& settings);

  const Model& model() const { return *model_; }
  Forward& forward() { return *forward_; }
  PagePool& pages() { return *pool_; }
  SequenceState fresh() const { return SequenceState(forward_->layout()); }

  /// Feeds ids in chunks of the given sizes (the last repeats) and returns the logits of every
  /// position.
  std::vector<float> logits(SequenceState& state, std::span<const int32_t> ids,
                            std::span<const size_t> chunks);
  std::vector<float> logits(std::span<const int32_t> ids);

 private:
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<PagePool> pool_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Forward> forward_;
};

/// The switches that a golden file was computed with.
GraphSettings settings_of(const Golden& golden);

}  // namespace sable::inference::test
