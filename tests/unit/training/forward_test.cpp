// The trainer's forward pass against the logits that DeepSeek's own code gave.
#include <catch2/catch.hpp>

#include "tests/support/mini_checkpoint.h"
#include "tests/unit/inference/graph/oracle.h"
#include "training/model.h"

using namespace sable;
using namespace sable::training;
using inference::test::Golden;

namespace {

std::vector<float> logits_of(const Golden& golden) {
  auto checkpoint = Checkpoint::open(test::mini_checkpoint(golden.arguments()));
  REQUIRE(checkpoint);
  auto parameters = Parameters::of((*checkpoint)->config());
  REQUIRE(parameters);
  const auto values = values_of(**checkpoint, *parameters);
  REQUIRE(values);
  std::vector<float> transposed(parameters->size());
  transpose_values(*parameters, 0, parameters->list().size(), values->data(), transposed.data());
  const auto settings = inference::test::settings_of(golden);
  const Roundings roundings{settings.fake_quant, settings.activation_quant};
  Worker worker(*parameters);
  const std::vector<float> weight(golden.ids.size(), 0.0F);
  std::vector<float> logits;
  worker.run({golden.ids, weight}, {values->data(), transposed.data(), nullptr}, roundings, {},
             &logits);
  return logits;
}

}  // namespace

TEST_CASE("the forward pass gives the official code's logits") {
  const auto* name =
      GENERATE("logits_f32_prefill", "logits_official_noquant", "logits_shallow_window_official",
               "logits_shallow_csa_official", "logits_shallow_hca_official",
               "logits_shallow_csa_hca_official_fakequant");
  const Golden golden = Golden::read(name);
  const size_t width = golden.json["shape"][1].get<size_t>();
  const auto all = logits_of(golden);
  std::vector<float> rows;
  for (const size_t p : golden.positions()) {
    rows.insert(rows.end(), all.begin() + static_cast<std::ptrdiff_t>(p * width),
                all.begin() + static_cast<std::ptrdiff_t>((p + 1) * width));
  }
  const auto d = inference::test::distance(rows, golden.values, width);
  INFO(name << ": max " << d.max_abs << " mean " << d.mean_abs << " close " << d.close_positions);
  const auto& tolerance = golden.json["tolerance"];
  if (tolerance.contains("max_abs")) CHECK(d.max_abs <= tolerance["max_abs"].get<double>());
  if (tolerance.contains("mean_abs")) CHECK(d.mean_abs <= tolerance["mean_abs"].get<double>());
  if (tolerance.contains("close_positions")) {
    CHECK(d.close_positions >= tolerance["close_positions"].get<double>());
  }
}
