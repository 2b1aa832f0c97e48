// How far a share of few trials can be trusted.
#pragma once

#include <cstddef>

namespace sable::evaluation {

struct Interval {
  double low = 0, high = 1;
};

/// The 95 % Wilson score interval of a probability, from `n_passed` of `n` trials; (0, 1) for none.
/// Source: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
Interval wilson_interval(size_t n_passed, size_t n);

}  // namespace sable::evaluation
