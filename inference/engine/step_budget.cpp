#include "inference/engine/step_budget.h"

#include <algorithm>

namespace sable::inference {

void StepBudget::learn(size_t n_rows, std::chrono::microseconds time) {
  const bool late = time > target_;
  if (n_rows == 1) one_token_is_late_ = late;
  const auto fits =
      static_cast<size_t>(static_cast<double>(n_rows) * static_cast<double>(target_.count()) /
                          static_cast<double>(std::max<int64_t>(1, time.count())));
  size_t next = rows_;
  if (late) {
    next = std::min(rows_, fits);
  } else if (n_rows >= rows_) {
    // More tokens share the weights, so that each takes less time: half of what fits is safe.
    next = std::max(fits / 2, rows_ + rows_ / 2 + 1);
  }
  const size_t least = one_token_is_late_ ? kRowsWhenLate : 1;
  rows_ = std::min(std::max(next, least), std::max<size_t>(rows_max_, 1));
}

}  // namespace sable::inference
