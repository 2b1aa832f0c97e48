// How many tokens a step may take so that it ends in time; learns from the steps before.
#pragma once

#include <chrono>
#include <cstddef>

namespace sable::inference {

class StepBudget {
 public:
  StepBudget(std::chrono::milliseconds target, size_t rows_max)
      : target_(target), rows_max_(rows_max) {}

  /// Tokens for the next step; more when more sequences decode than that, which cannot be helped.
  size_t rows() const { return rows_; }

  /// A step of n_rows took this long.
  void learn(size_t n_rows, std::chrono::microseconds time);

 private:
  // Where even one token misses the target, nothing is gained by single tokens: reading the weights
  // is most of the cost, and this many share it.
  static constexpr size_t kRowsWhenLate = 16;

  std::chrono::microseconds target_;
  size_t rows_max_;
  size_t rows_ = 16;
  bool one_token_is_late_ = false;
};

}  // namespace sable::inference
