#include "evaluation/interval.h"

#include <algorithm>
#include <cmath>

namespace sable::evaluation {

Interval wilson_interval(size_t n_passed, size_t n) {
  if (n == 0) return {};
  constexpr double z = 1.959963984540054;  // the normal distribution's 97.5 % quantile
  const auto trials = static_cast<double>(n);
  const double p = static_cast<double>(n_passed) / trials;
  const double scale = 1 + z * z / trials;
  const double centre = (p + z * z / (2 * trials)) / scale;
  const double half = z / scale * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

}  // namespace sable::evaluation
