#include "inference/engine/rewind_points.h"

#include <utility>

namespace sable::inference {

void RewindPoints::add(SequenceState record) {
  truncate(record.position());
  if (!records_.empty() && records_.back()->position() == record.position()) return;
  records_.push_back(std::make_shared<const SequenceState>(std::move(record)));
  if (records_.size() <= kPointsMax) return;
  // Drop the one whose absence opens the smallest gap in proportion to its distance from the end.
  const uint64_t end = records_.back()->position();
  size_t worst = 0;
  double smallest = 0;
  for (size_t i = 0; i + 1 < records_.size(); ++i) {
    const uint64_t before = i == 0 ? 0 : records_[i - 1]->position();
    const auto gap = static_cast<double>(records_[i + 1]->position() - before);
    const double share = gap / static_cast<double>(end - records_[i]->position());
    if (i == 0 || share < smallest) {
      smallest = share;
      worst = i;
    }
  }
  records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(worst));
}

const SequenceState* RewindPoints::at_or_before(uint64_t position) const {
  const SequenceState* found = nullptr;
  for (const auto& record : records_) {
    if (record->position() <= position) found = record.get();
  }
  return found;
}

void RewindPoints::truncate(uint64_t position) {
  while (!records_.empty() && records_.back()->position() > position) records_.pop_back();
}

}  // namespace sable::inference
