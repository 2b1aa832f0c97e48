#include "tests/support/synthetic_checkpoint.h"

#include <cmath>

#include <catch2/catch.hpp>

#include "inference/files/verify.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;
using test::SyntheticOptions;
using test::TemporaryFolder;

namespace {

SyntheticOptions small() {
  SyntheticOptions options;
  ModelConfig& c = options.config;
  c.vocab_size = 512;
  c.hidden_size = 256;
  c.q_lora_rank = c.moe_intermediate_size = c.o_lora_rank = 256;
  c.num_attention_heads = 4;
  c.n_routed_experts = 8;
  c.compress_ratios = {0, 4, 128};
  c.num_hidden_layers = 3;
  return options;
}

}  // namespace

TEST_CASE("synthetic models open, verify and come out the same each time, in every type") {
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::mxfp4,
                           DType::q2_k, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq2_xxs}) {
    INFO(name_of(type));
    TemporaryFolder folder;
    SyntheticOptions options = small();
    options.experts = type;
    REQUIRE(test::write_synthetic_checkpoint(folder / "a.gguf", options));
    REQUIRE(test::write_synthetic_checkpoint(folder / "b.gguf", options));
    CHECK(folder.read("a.gguf") == folder.read("b.gguf"));
    const auto model = Checkpoint::open(folder / "a.gguf");
    REQUIRE(model);
    CHECK(verify(**model, {})->ok());
    // A matrix keeps the size of what it multiplies: RMS about 1/sqrt(cols).
    const Tensor* tensor = (*model)->find("layers.1.ffn.experts.5.w1.weight");
    REQUIRE(tensor != nullptr);
    CHECK(tensor->type == type);
    double power = 0;
    std::vector<float> row(tensor->cols());
    for (uint64_t r = 0; r < tensor->rows(); ++r) {
      dequantize_row(*tensor, r, row);
      for (const float x : row) power += double(x) * x;
    }
    const double rms =
        std::sqrt(power / double(tensor->n_elements())) * std::sqrt(double(tensor->cols()));
    CHECK(rms > 0.5);
    CHECK(rms < 2.0);
  }
}

TEST_CASE("synthetic models in the official layout open and verify, MTP block included") {
  TemporaryFolder folder;
  SyntheticOptions options = small();
  options.container = Container::safetensors;
  options.dense = DType::f8_e4m3;
  options.experts = DType::f4_e2m1;
  options.config.num_nextn_predict_layers = 1;
  options.config.compress_ratios.push_back(0);
  REQUIRE(test::write_synthetic_checkpoint(folder / "m", options));
  const auto model = Checkpoint::open(folder / "m");
  REQUIRE(model);
  CHECK((*model)->config().num_nextn_predict_layers == 1);
  CHECK(verify(**model, {})->ok());
  CHECK((*model)->find("layers.0.attn.wq_a.weight")->type == DType::f8_e4m3);
}
