#include "inference/engine/stop_strings.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;
using namespace sable::inference;

namespace {

struct Outcome {
  std::string text;
  bool stopped = false;
  size_t found = StopStrings::npos;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome stream(const std::vector<std::string>& stops, const std::vector<std::string>& parts) {
  auto matcher = StopStrings::create(stops);
  REQUIRE(matcher);
  Outcome outcome;
  for (const std::string& part : parts) {
    const auto step = matcher->push(part);
    outcome.text += step.text;
    outcome.stopped = outcome.stopped || step.stopped;
  }
  outcome.text += matcher->finish();
  outcome.found = matcher->found();
  return outcome;
}

/// The definition: try every end, and at each the longest string.
Outcome plainly(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t best = StopStrings::npos;
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool ends = end >= stops[i].size() &&
                        text.compare(end - stops[i].size(), stops[i].size(), stops[i]) == 0;
      if (ends && (best == StopStrings::npos || stops[i].size() > stops[best].size())) best = i;
    }
    if (best != StopStrings::npos) return {text.substr(0, end - stops[best].size()), true, best};
  }
  return {text, false, StopStrings::npos};
}

}  // namespace

TEST_CASE("a stop string is found however the text is cut into parts") {
  rc::prop("equals the definition", [] {
    const auto letters = rc::gen::element('a', 'b', 'c');
    const auto string =
        rc::gen::nonEmpty(rc::gen::scale(0.05, rc::gen::container<std::string>(letters)));
    const auto stops = *rc::gen::scale(0.3, rc::gen::container<std::vector<std::string>>(string));
    const auto parts = *rc::gen::container<std::vector<std::string>>(
        rc::gen::scale(0.1, rc::gen::container<std::string>(letters)));
    std::string text;
    for (const std::string& part : parts) text += part;
    RC_PRE(stops.size() <= 64);
    RC_ASSERT(stream(stops, parts) == plainly(stops, text));
  });
}

TEST_CASE("only what may become a stop string is held back") {
  auto matcher = StopStrings::create({"</end>", "\n\n"});
  REQUIRE(matcher);
  CHECK(matcher->push("abc").text == "abc");
  CHECK(matcher->push("d</en").text == "d");
  CHECK(matcher->push("x").text == "</enx");
  CHECK(matcher->push("\n").text == "");
  CHECK(matcher->push("<").text == "\n");
  const auto last = matcher->push("/end>tail");
  CHECK(last.stopped);
  CHECK(last.text == "");
  CHECK(matcher->found() == 0);
  CHECK(matcher->push("more").stopped);
  CHECK(matcher->push("more").text == "");
  CHECK(matcher->finish() == "");
}

TEST_CASE("stop strings are bounded") {
  CHECK_FALSE(StopStrings::create({""}));
  CHECK_FALSE(StopStrings::create({std::string(1025, 'x')}));
  CHECK_FALSE(StopStrings::create(std::vector<std::string>(65, "x")));
  CHECK(StopStrings::create({}));
}
