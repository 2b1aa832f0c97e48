// Every logits file of the official code, within its own tolerance.
#include <catch2/catch.hpp>

#include "tests/unit/inference/graph/oracle.h"

using namespace sable::inference;
using namespace sable::inference::test;

namespace {

/// Checks every bound that the JSON states; the rows of `got` are all positions in order.
void check_within_tolerance(const Golden& golden, std::span<const float> got) {
  const size_t width = golden.json["shape"][1].get<size_t>();
  std::vector<float> rows;
  const auto positions = golden.positions();
  for (const size_t p : positions) {
    const auto row = got.subspan(p * width, width);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  const Distance d = distance(rows, golden.values, width);
  INFO("max " << d.max_abs << " mean " << d.mean_abs << " argmax " << d.argmax_agreement
              << " close " << d.close_positions);
  const auto& tolerance = golden.json["tolerance"];
  REQUIRE(!tolerance.empty());
  if (tolerance.contains("max_abs")) CHECK(d.max_abs <= tolerance["max_abs"].get<double>());
  if (tolerance.contains("mean_abs")) CHECK(d.mean_abs <= tolerance["mean_abs"].get<double>());
  if (tolerance.contains("argmax_agreement")) {
    CHECK(d.argmax_agreement >= tolerance["argmax_agreement"].get<double>());
  }
  if (tolerance.contains("close_positions")) {
    CHECK(d.close_positions >= tolerance["close_positions"].get<double>());
  }
}

void check_file(const std::string& name, bool reference_backend = false) {
  const Golden golden = Golden::read(name);
  Rig rig(golden.arguments(),
          {.graph = settings_of(golden), .reference_backend = reference_backend});
  INFO(name);
  check_within_tolerance(golden, rig.logits(golden.ids));
}

}  // namespace

TEST_CASE("logits equal the official code's where all arithmetic is in FP32") {
  check_file("logits_f32_prefill");
}

TEST_CASE(
    "logits equal the official code's on FP8 and FP4 weights without rounding of activations") {
  check_file("logits_official_noquant");
}

TEST_CASE("logits equal the official code's with every quantiser on, in shallow models") {
  const auto* name = GENERATE("logits_shallow_window_official", "logits_shallow_csa_official",
                              "logits_shallow_hca_official", "logits_shallow_csa_hca_official",
                              "logits_shallow_csa_hca_official_fakequant");
  check_file(name);
}

TEST_CASE("logits equal the official code's on every other file", "[slow]") {
  const auto* name = GENERATE("logits_f32_decode", "logits_bf16_weights", "logits_f32_fakequant",
                              "logits_official_fakequant", "logits_official");
  check_file(name);
}

TEST_CASE("the reference backend computes every logits file too", "[slow]") {
  const auto* name =
      GENERATE("logits_f32_prefill", "logits_bf16_weights", "logits_f32_fakequant",
               "logits_official_noquant", "logits_official_fakequant", "logits_official",
               "logits_shallow_window_official", "logits_shallow_csa_official",
               "logits_shallow_hca_official", "logits_shallow_csa_hca_official",
               "logits_shallow_csa_hca_official_fakequant");
  check_file(name, true);
}

TEST_CASE("a model that leaves out its quantisers is told apart from one that has them") {
  const Golden golden = Golden::read("logits_shallow_csa_hca_official");
  Rig rig(golden.arguments(), {.graph = {.fake_quant = false, .activation_quant = false}});
  const Distance d = distance(rig.logits(golden.ids), golden.values, 512);
  CHECK(d.close_positions < 0.05);
}
