// Reports added up.
#include "runtime/eval/scores.h"

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::runtime;

namespace {

TaskReport report(const std::string& family, bool passed) {
  TaskReport r{.name = family + "-1", .family = family, .instruction = "Do it.", .passed = passed};
  r.end.n_steps = 3;
  r.end.n_malformed_calls = passed ? 0 : 1;
  r.end.turn.status = "finished";
  r.end.turn.usage = {.input_tokens = 1000, .output_tokens = 50};
  r.end.turn.wall = std::chrono::milliseconds(1500);
  if (!passed) r.why = "it did not";
  return r;
}

}  // namespace

TEST_CASE("scores are sums by family, with their interval") {
  Scores scores;
  for (int i = 0; i < 19; ++i) scores.add(report("find", true));
  scores.add(report("find", false));
  scores.add(report("fix", false));
  const Json json = scores.to_json();
  REQUIRE(json["families"].size() == 2);
  const Json find = json["families"][0];
  CHECK(find["family"] == "find");
  CHECK(find["n"] == 20);
  CHECK(find["passed"] == 19);
  CHECK(find["share"] == 0.95);
  CHECK(find["low"].get<double>() == Approx(0.7639).margin(1e-4));  // Newcombe's Wilson, 19 of 20
  CHECK(find["high"].get<double>() == Approx(0.9911).margin(1e-4));
  CHECK(find["malformed_calls"] == 1);
  CHECK(find["input_tokens"] == 20'000);
  CHECK(json["all"]["n"] == 21);
  const std::string text = scores.to_text({});
  CHECK(text.find("19/20   95 %     76 to 99 %") != std::string::npos);
  CHECK(text.find("\nall ") != std::string::npos);
}

TEST_CASE("a report tells what was asked, what came of it and why it failed") {
  const Json json = to_json(report("set", false));
  CHECK(json["task"] == "set-1");
  CHECK(json["passed"] == false);
  CHECK(json["why"] == "it did not");
  CHECK(json["status"] == "finished");
  CHECK(json["malformed_calls"] == 1);
  CHECK(json["seconds"] == 1.5);
}
