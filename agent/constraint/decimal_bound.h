// Bounds of numbers in whole units of a power of ten.
#pragma once

#include <cstdint>
#include <string_view>

namespace sable::agent {

/// `decimal` is a number as tools::Decimal::text() writes it: digits, "e", a power of ten. The
/// results count units of 10^-n_decimals and are cut to 18 digits: the smallest number that is not
/// below the decimal, the smallest above it, and the largest not above and below it.
int64_t bound_above(std::string_view decimal, int n_decimals);
int64_t bound_strictly_above(std::string_view decimal, int n_decimals);
int64_t bound_below(std::string_view decimal, int n_decimals);
int64_t bound_strictly_below(std::string_view decimal, int n_decimals);

}  // namespace sable::agent
