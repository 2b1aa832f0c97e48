// JSON numbers compared and divided exactly, as the decimal numbers that people write.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/json.h"

namespace sable::tools {

/// Sign, at most 20 digits without trailing zeros, and a power of ten. A double stands for its
/// shortest decimal form, so that 0.1 is one tenth.
class Decimal {
 public:
  explicit Decimal(const Json& number);

  std::strong_ordering operator<=>(const Decimal& other) const;
  bool operator==(const Decimal& other) const = default;

  bool is_integer() const { return digits_ == 0 || exponent_ >= 0; }
  /// False for a divisor of zero.
  bool is_multiple_of(const Decimal& divisor) const;
  /// One text for every way to write a number: "1e0" for 1, 1.0 and 10e-1.
  std::string text() const;

 private:
  int n_digits() const;
  void set(bool negative, uint64_t digits, int exponent);

  bool negative_ = false;
  uint64_t digits_ = 0;
  int exponent_ = 0;
};

/// One text for every way to write a value: equal values (JSON Schema 2020-12, 4.2.2) have equal
/// texts.
std::string canonical_text(const Json& value);

}  // namespace sable::tools
