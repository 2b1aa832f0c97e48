#include "agent/constraint/decimal_bound.h"

#include <algorithm>
#include <charconv>

namespace sable::agent {

namespace {

__extension__ typedef __int128 Wide;

constexpr int64_t kMost = 1'000'000'000'000'000'000;

/// The decimal in units, rounded towards minus infinity, and whether anything was lost.
struct Floored {
  int64_t units = 0;
  bool exact = true;
};

Floored floored(std::string_view decimal, int n_decimals) {
  const bool negative = decimal.starts_with('-');
  if (negative) decimal.remove_prefix(1);
  const size_t e = std::min(decimal.find('e'), decimal.size());
  uint64_t digits = 0;
  int exponent = 0;
  std::from_chars(decimal.data(), decimal.data() + e, digits);
  if (e < decimal.size()) {
    std::from_chars(decimal.data() + e + 1, decimal.data() + decimal.size(), exponent);
  }
  Wide units = digits;
  bool exact = true;
  for (exponent += n_decimals; exponent > 0 && units <= kMost && units != 0; --exponent)
    units *= 10;
  for (; exponent < 0 && units != 0; ++exponent) {
    exact = exact && units % 10 == 0;
    units /= 10;
  }
  if (negative) units = -units - (exact ? 0 : 1);
  return {static_cast<int64_t>(std::clamp<Wide>(units, -kMost, kMost)), exact};
}

}  // namespace

int64_t bound_above(std::string_view decimal, int n_decimals) {
  const auto f = floored(decimal, n_decimals);
  return f.exact ? f.units : f.units + 1;
}
int64_t bound_strictly_above(std::string_view decimal, int n_decimals) {
  return floored(decimal, n_decimals).units + 1;
}
int64_t bound_below(std::string_view decimal, int n_decimals) {
  return floored(decimal, n_decimals).units;
}
int64_t bound_strictly_below(std::string_view decimal, int n_decimals) {
  const auto f = floored(decimal, n_decimals);
  return f.exact ? f.units - 1 : f.units;
}

}  // namespace sable::agent
