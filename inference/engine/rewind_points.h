// Earlier positions of a sequence to which it can go back at once; what lies between is computed
// again.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "inference/graph/sequence_state.h"

namespace sable::inference {

/// Keeps few records: dense near the end, where cuts fall, and ever sparser before, so that going
/// back any distance costs at most about that distance again.
class RewindPoints {
 public:
  static constexpr size_t kPointsMax = 12;

  void add(SequenceState record);
  /// The last record at or before a position; null when there is none.
  const SequenceState* at_or_before(uint64_t position) const;
  /// Forgets all records behind a position.
  void truncate(uint64_t position);

 private:
  std::vector<std::shared_ptr<const SequenceState>> records_;  // ascending positions
};

}  // namespace sable::inference
