// The promise of the slow loops: n days in a row meet every index.
#include "tests/support/daily_slice.h"

#include <algorithm>
#include <map>

#include <catch2/catch.hpp>

using namespace sable::test;

TEST_CASE("of n days in a row each index is met on exactly one, wherever they begin") {
  constexpr size_t kExisting = 1000, kToday = 20'000;
  for (const size_t n : {5u, 17u, 17u * 97u}) {
    std::map<size_t, int> met;
    for (size_t day = kToday; day < kToday + n; ++day) {
      Slice::of_day(day, n).for_each(kExisting, [&](size_t index) { return ++met[index] > 0; });
    }
    CHECK(met.size() == kExisting);
    CHECK(std::all_of(met.begin(), met.end(), [](const auto& one) { return one.second == 1; }));
  }
}
