#include "inference/engine/step_budget.h"

#include <catch2/catch.hpp>

using namespace sable::inference;
using namespace std::chrono_literals;

namespace {

/// Steps on a machine that takes `fixed` for a step and `each` for every token more.
size_t settle(StepBudget& budget, std::chrono::microseconds fixed, std::chrono::microseconds each) {
  for (int i = 0; i < 50; ++i) {
    budget.learn(budget.rows(), fixed + each * static_cast<int>(budget.rows()));
  }
  return budget.rows();
}

}  // namespace

TEST_CASE("steps grow to the largest size on a fast machine") {
  StepBudget budget(100ms, 128);
  CHECK(settle(budget, 1ms, 100us) == 128);
}

TEST_CASE("steps grow at once to half of what fits where they end long before their time") {
  StepBudget budget(100ms, 512);
  REQUIRE(budget.rows() == 16);
  budget.learn(16, 2ms);
  CHECK(budget.rows() == 400);
}

TEST_CASE("steps shrink until they end in time") {
  StepBudget budget(100ms, 128);
  const size_t rows = settle(budget, 20ms, 5ms);
  CHECK(rows >= 8);
  CHECK(rows <= 25);  // 16 fit; one above may be tried now and then
}

TEST_CASE("where one token is late already, tokens still share the reading of the weights") {
  StepBudget budget(100ms, 128);
  CHECK(settle(budget, 150ms, 2ms) == 16);
}

TEST_CASE("a few late decode steps do not change what a prompt may take for long") {
  StepBudget budget(100ms, 128);
  settle(budget, 1ms, 100us);
  budget.learn(4, 400ms);
  CHECK(budget.rows() == 1);
  CHECK(settle(budget, 1ms, 100us) == 128);
}
