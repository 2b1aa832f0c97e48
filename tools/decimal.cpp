#include "tools/decimal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

namespace sable::tools {

namespace {

__extension__ typedef unsigned __int128 Wide;

/// 10^n for n <= 20.
Wide power_of_ten(int n) {
  Wide power = 1;
  while (n-- > 0) power *= 10;
  return power;
}

/// 10^n modulo m.
uint64_t power_of_ten_modulo(int n, uint64_t m) {
  Wide power = 1 % m, base = 10 % m;
  for (; n > 0; n >>= 1) {
    if ((n & 1) != 0) power = power * base % m;
    base = base * base % m;
  }
  return static_cast<uint64_t>(power);
}

}  // namespace

Decimal::Decimal(const Json& number) {
  if (number.is_number_unsigned()) {
    set(false, number.get<uint64_t>(), 0);
    return;
  }
  if (number.is_number_integer()) {
    const auto value = number.get<int64_t>();
    const auto bits = static_cast<uint64_t>(value);
    set(value < 0, value < 0 ? 0 - bits : bits, 0);
    return;
  }
  const double value = number.is_number() ? number.get<double>() : 0;
  const double size = std::fabs(value);
  if (size < 18446744073709551616.0 && size == std::floor(size)) {
    set(value < 0, static_cast<uint64_t>(size), 0);
    return;
  }
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, size, std::chars_format::scientific).ptr;
  uint64_t digits = 0;
  int exponent = 0;
  const char* at = text;
  for (; at < end && *at != 'e'; ++at) {
    if (*at == '.') continue;
    digits = digits * 10 + static_cast<uint64_t>(*at - '0');
    exponent -= at > text ? 1 : 0;  // every digit but the first stands behind the point
  }
  int power = 0;
  if (at < end) std::from_chars(at + (at[1] == '+' ? 2 : 1), end, power);
  set(value < 0, digits, exponent + power);
}

void Decimal::set(bool negative, uint64_t digits, int exponent) {
  while (digits != 0 && digits % 10 == 0) {
    digits /= 10;
    ++exponent;
  }
  negative_ = negative && digits != 0;
  digits_ = digits;
  exponent_ = digits == 0 ? 0 : exponent;
}

int Decimal::n_digits() const {
  int n = 0;
  for (uint64_t rest = digits_; rest != 0; rest /= 10) ++n;
  return n;
}

std::strong_ordering Decimal::operator<=>(const Decimal& other) const {
  if (digits_ == 0 || other.digits_ == 0 || negative_ != other.negative_) {
    const auto sign = [](const Decimal& d) { return d.digits_ == 0 ? 0 : d.negative_ ? -1 : 1; };
    return sign(*this) <=> sign(other);
  }
  const auto size = [&] {
    const int magnitude = n_digits() + exponent_,
              other_magnitude = other.n_digits() + other.exponent_;
    if (magnitude != other_magnitude) return magnitude <=> other_magnitude;
    // Of the same magnitude, the exponents differ by less than 20.
    const Wide a = digits_ * power_of_ten(std::max(0, exponent_ - other.exponent_));
    const Wide b = other.digits_ * power_of_ten(std::max(0, other.exponent_ - exponent_));
    return a < b   ? std::strong_ordering::less
           : a > b ? std::strong_ordering::greater
                   : std::strong_ordering::equal;
  }();
  return negative_ ? 0 <=> size : size;  // NOLINT(modernize-use-nullptr): 0 is no pointer here
}

bool Decimal::is_multiple_of(const Decimal& divisor) const {
  if (divisor.digits_ == 0) return false;
  if (digits_ == 0) return true;
  const int shift = exponent_ - divisor.exponent_;
  if (shift >= 0) {
    const Wide rest = Wide(digits_ % divisor.digits_) * power_of_ten_modulo(shift, divisor.digits_);
    return rest % divisor.digits_ == 0;
  }
  if (-shift > 20) return false;  // the divisor has more zeros than our digits can hold
  return digits_ % (divisor.digits_ * power_of_ten(-shift)) == 0;
}

std::string Decimal::text() const {
  return fmt::format("{}{}e{}", negative_ ? "-" : "", digits_, exponent_);
}

std::string canonical_text(const Json& value) {
  if (value.is_number()) return Decimal(value).text();
  if (value.is_array()) {
    std::string text = "[";
    for (const auto& item : value) text += canonical_text(item) + ",";
    return text + "]";
  }
  if (value.is_object()) {
    std::vector<std::pair<std::string, std::string>> fields;
    for (const auto& [key, field] : value.items()) {
      fields.emplace_back(dump_json(Json(key)), canonical_text(field));
    }
    std::sort(fields.begin(), fields.end());
    std::string text = "{";
    for (const auto& [key, field] : fields) text += key + ":" + field + ",";
    return text + "}";
  }
  return dump_json(value);
}

}  // namespace sable::tools
