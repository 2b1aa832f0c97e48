#include "inference/engine/exact_math.h"

#include <bit>
#include <cstdint>

#include "base/check.h"

namespace sable::inference {

namespace {

// ln 2 in two parts: the first has trailing zeros, so that k times it is exact (Cody and Waite,
// "Software Manual for the Elementary Functions", 1980; constants of FreeBSD's e_exp.c).
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;
constexpr double kInverseLn2 = 1.44269504088896338700e+00;

/// 2^k for -1022 <= k <= 1023.
double power_of_two(int k) { return std::bit_cast<double>(static_cast<uint64_t>(k + 1023) << 52); }

}  // namespace

double exact_exp(double x) {
  SABLE_CHECK(x <= 0.0);
  if (x < -708.0) return 0.0;
  // x = k ln 2 + r with |r| <= ln 2 / 2 or hardly more; then the Taylor series of e^r to the 13th
  // power, whose remainder is below 2^-58.
  const int k = static_cast<int>(x * kInverseLn2 - 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  constexpr double kInverseFactorials[] = {
      1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
      1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,     1.0 / 720.0,
      1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,        1.0 / 2.0,
  };
  double sum = 0.0;
  for (const double coefficient : kInverseFactorials) sum = (sum + coefficient) * r;
  // sum = r/2! + r^2/3! + ...; the two leading terms are added last, where they cost least
  // precision.
  return (1.0 + (r + r * sum)) * power_of_two(k);
}

double exact_log(double x) {
  SABLE_CHECK(x >= 1.0);
  // x = m 2^k with sqrt(1/2) <= m < sqrt(2); log m = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...) with
  // s = (m - 1) / (m + 1), |s| < 0.1716: the term of the 23rd power is below 2^-62.
  const auto bits = std::bit_cast<uint64_t>(x);
  int k = static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u);
  if (m > 1.41421356237309504880) {
    m *= 0.5;
    ++k;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double sum = 0.0;
  for (int power = 21; power >= 3; power -= 2) sum = (sum + 1.0 / power) * z;
  return k * kLn2High + (2.0 * s + (2.0 * s * sum + k * kLn2Low));
}

}  // namespace sable::inference
