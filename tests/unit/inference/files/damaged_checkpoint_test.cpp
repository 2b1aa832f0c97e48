// Whole model files, damaged at random: refused with a reason, or opened and decoded to the last
// row.
#include <filesystem>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "base/file.h"
#include "inference/files/checkpoint.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;
using test::SyntheticOptions;
using test::TemporaryFolder;

namespace {

SyntheticOptions tiny(Container container) {
  SyntheticOptions options;
  options.container = container;
  options.dense = DType::bf16;
  options.experts = container == Container::gguf ? DType::mxfp4 : DType::f4_e2m1;
  ModelConfig& c = options.config;
  c.vocab_size = 8;
  c.hidden_size = c.q_lora_rank = c.moe_intermediate_size = c.o_lora_rank = 128;
  c.num_attention_heads = c.o_groups = c.index_n_heads = c.hc_mult = 1;
  c.head_dim = 66;
  c.qk_rope_head_dim = 2;
  c.index_head_dim = 32;
  c.n_routed_experts = c.num_experts_per_tok = 2;
  c.num_hash_layers = 1;
  c.compress_ratios = {4};
  c.num_hidden_layers = 1;
  return options;
}

/// Opens and decodes everything; whatever comes back is fine, as long as an error has a sentence.
void use(const std::filesystem::path& path) {
  const auto model = Checkpoint::open(path);
  if (!model) {
    RC_ASSERT(model.error().message.find(path.parent_path().string()) != std::string::npos);
    return;
  }
  for (const Tensor& tensor : (*model)->tensors()) {
    const uint64_t rows = tensor.shape.size() < 2 ? 1 : tensor.rows();
    std::vector<float> row(tensor.n_elements() / rows);
    for (uint64_t r = 0; r < rows; ++r) dequantize_row(tensor, r, row);
  }
}

std::string damage(const std::string& good, size_t header_bytes) {
  std::string bad = good;
  const auto n_changes = *rc::gen::inRange(0, 4);
  for (int i = 0; i < n_changes; ++i) {
    const bool header = *rc::gen::inRange(0, 4) != 0;
    bad[*rc::gen::inRange<size_t>(0, header ? header_bytes : bad.size())] =
        *rc::gen::arbitrary<char>();
  }
  switch (*rc::gen::inRange(0, 6)) {
    case 0:
      bad.resize(*rc::gen::inRange<size_t>(0, bad.size() + 1));
      break;
    case 1:
      bad += std::string(*rc::gen::inRange<size_t>(1, 4096), 'x');
      break;
    default:
      break;
  }
  return bad;
}

}  // namespace

TEST_CASE("a damaged GGUF model is refused or read, never a crash") {
  TemporaryFolder folder;
  REQUIRE(test::write_synthetic_checkpoint(folder / "good.gguf", tiny(Container::gguf)));
  REQUIRE(Checkpoint::open(folder / "good.gguf"));
  const std::string good = folder.read("good.gguf");
  rc::prop("whatever changed", [&] {
    folder.write("bad.gguf", damage(good, 6000));
    use(folder / "bad.gguf");
  });
}

TEST_CASE("a damaged folder of safetensors is refused or read, never a crash") {
  TemporaryFolder folder;
  REQUIRE(test::write_synthetic_checkpoint(folder / "m", tiny(Container::safetensors)));
  REQUIRE(Checkpoint::open(folder / "m"));
  const std::string weights = folder.read("m/model.safetensors"),
                    config = folder.read("m/config.json");
  rc::prop("whatever changed", [&] {
    const bool in_config = *rc::gen::inRange(0, 3) == 0;
    folder.write("m/model.safetensors", in_config ? weights : damage(weights, 4000));
    folder.write("m/config.json", in_config ? damage(config, config.size()) : config);
    use(folder / "m/config.json");
  });
}
