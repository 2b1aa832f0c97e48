// Which routed experts stay in memory when not all of them may: the ones used last.
//
// Weights are pages of mapped files, so what this decides changes no result: an expert that was
// given back is read from disk again.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "inference/graph/model.h"

namespace sable::inference {

class ExpertResidency {
 public:
  explicit ExpertResidency(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  /// At most so many bytes of experts between uses; 0: no limit, and nothing is kept account of.
  void limit(uint64_t bytes_max);

  /// The expert is about to be read: asks for it ahead if it was given back, and gives back those
  /// that were not used for longest, as many as the limit demands.
  void use(const ExpertWeights& expert);

  uint64_t bytes() const { return bytes_; }  ///< of the experts that were not given back

 private:
  void give_back_down_to(uint64_t bytes_max);

  const Checkpoint& checkpoint_;
  uint64_t bytes_max_ = 0, bytes_ = 0;
  std::list<const ExpertWeights*> used_;  // last used first
  std::unordered_map<const ExpertWeights*, std::list<const ExpertWeights*>::iterator> where_;
};

}  // namespace sable::inference
