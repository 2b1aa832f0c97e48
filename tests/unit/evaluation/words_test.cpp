// Names and wordings: what training uses, evaluation never does.
#include "evaluation/words.h"

#include <set>

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::evaluation;

TEST_CASE("names of training and of test share no word") {
  Random random(1);
  Names training(Split::training, random), test(Split::test, random);
  std::set<std::string> seen;
  for (int i = 0; i < 500; ++i) seen.insert(training.word());
  for (int i = 0; i < 500; ++i) CHECK(seen.count(test.word()) == 0);
}

TEST_CASE("a wording is expanded whole, and long choices are divided between the splits") {
  Random random(1);
  std::set<std::string> training, test;
  for (int i = 0; i < 300; ++i) {
    training.insert(
        expand("{one {two|2}|three|four|five|six|seven|eight}.", Split::training, random));
    test.insert(expand("{one {two|2}|three|four|five|six|seven|eight}.", Split::test, random));
  }
  for (const auto& text : training) {
    CHECK(text.find_first_of("{|}") == std::string::npos);
    CHECK(test.count(text) == 0);
  }
  CHECK(training.size() + test.size() >= 7);
}
