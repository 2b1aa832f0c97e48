// Wilson's interval, against values from the literature.
#include "evaluation/interval.h"

#include <catch2/catch.hpp>

using namespace sable::evaluation;

TEST_CASE("Wilson's interval is the published one") {
  // Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
  const auto published = [](size_t n_passed, size_t n, double low, double high) {
    const auto interval = wilson_interval(n_passed, n);
    CHECK(interval.low == Approx(low).margin(5e-5));
    CHECK(interval.high == Approx(high).margin(5e-5));
  };
  published(81, 263, 0.2553, 0.3662);
  published(15, 148, 0.0624, 0.1605);
  published(0, 20, 0.0, 0.1611);
  published(1, 29, 0.0061, 0.1718);
}

TEST_CASE("no trials say nothing, and no interval leaves 0 to 1") {
  CHECK(wilson_interval(0, 0).low == 0);
  CHECK(wilson_interval(0, 0).high == 1);
  CHECK(wilson_interval(5, 5).high == Approx(1));
  CHECK(wilson_interval(5, 5).low > 0.5);
}
