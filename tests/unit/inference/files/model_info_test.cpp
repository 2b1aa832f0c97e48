// Published figures: DeepSeek-V4 technical report (arXiv 2606.19348), the released files' tensor
// inventories, and vLLM's cache figures for V4-Pro.
#include "inference/files/model_info.h"

#include <map>

#include <catch2/catch.hpp>

#include "inference/files/convert.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/inference/files/published_models.h"

using namespace sable;
using namespace sable::inference;

namespace {

ModelConfig flash() { return config_from_json(test::flash_config()).value(); }
ModelConfig pro() { return config_from_json(test::pro_config()).value(); }

std::map<std::string, uint64_t> bytes_by_type(const ModelInfo& info) {
  std::map<std::string, uint64_t> out;
  for (const TypeBytes& type : info.bytes_by_type)
    out[std::string(name_of(type.type))] = type.bytes;
  return out;
}

constexpr double kMiB = 1024.0 * 1024.0;

}  // namespace

TEST_CASE("Flash and Pro have their published numbers of parameters") {
  const ParameterCount f = count_parameters(flash()), p = count_parameters(pro());
  CHECK(f.trunk == 284332240471);
  CHECK(f.mtp == 6610048891);
  CHECK(f.active == 13270101591);
  CHECK(f.table_integers == 2327040);
  CHECK(p.trunk == 1572997201763);
  CHECK(p.mtp == 25840145979);
  CHECK(p.active == 48852402019);
}

TEST_CASE("Flash and Pro have their published layers and bytes") {
  const ModelInfo f = model_info(flash()), p = model_info(pro());
  CHECK(f.layers.window == 2);
  CHECK(f.layers.csa == 21);
  CHECK(f.layers.hca == 20);
  CHECK(p.layers.window == 0);
  CHECK(p.layers.csa == 30);
  CHECK(p.layers.hca == 31);
  CHECK(f.tensor_bytes == 159609485896);
  CHECK(p.tensor_bytes == 864704792696);
  const auto types = bytes_by_type(f);
  CHECK(types.at("F4_E2M1") == 141733920768);
  CHECK(types.at("F8_E4M3") == 6023020544);
  CHECK(types.at("F8_E8M0") == 8858737664);
  CHECK(types.at("BF16") == 2830518528);
  CHECK(types.at("F32") == 144672072);
  CHECK(types.at("I64") == 18616320);
  CHECK(double(f.bytes_per_token) == Approx(11.217e9).epsilon(1e-4));
  CHECK(double(p.bytes_per_token) == Approx(39.666e9).epsilon(1e-4));
}

TEST_CASE("caches have the published sizes") {
  CHECK(entry_bytes(flash(), CacheStorage::packed) == 584);
  CHECK(index_key_bytes(flash(), CacheStorage::packed) == 68);
  struct Row {
    ModelConfig config;
    uint64_t tokens;
    double packed_mib, bf16_mib;
  };
  for (const Row& row : {Row{flash(), 8192, 30.5, 59.1}, Row{flash(), 131072, 442, 865},
                         Row{flash(), 1048576, 3517, 6885}, Row{pro(), 8192, 43.7, 84.6},
                         Row{pro(), 131072, 633, 1239}, Row{pro(), 1048576, 5036, 9856}}) {
    INFO(row.tokens);
    const double half_digit = row.packed_mib < 100 ? 0.051 : 0.51;
    CHECK(double(cache_bytes(row.config, row.tokens, CacheStorage::packed)) / kMiB ==
          Approx(row.packed_mib).margin(half_digit));
    CHECK(double(cache_bytes(row.config, row.tokens, CacheStorage::bf16)) / kMiB ==
          Approx(row.bf16_mib).margin(half_digit));
  }
  // The growing part only: vLLM gives 9.62 GiB for Pro in BF16 at a million tokens.
  const double window = 61.0 * 128 * 1024;
  CHECK((double(cache_bytes(pro(), 1 << 20, CacheStorage::bf16)) - window) / (1024 * kMiB) ==
        Approx(9.617).margin(0.001));
}

TEST_CASE("arithmetic grows with context as published") {
  struct Row {
    ModelConfig config;
    uint64_t context;
    double projections, attention, index, total;
  };
  for (const Row& row : {Row{flash(), 1000000, 26.5, 22.6, 86.0, 135.1},
                         Row{pro(), 1000000, 97.7, 73.6, 122.9, 294.2}}) {
    const FlopsPerToken flops = flops_per_token(row.config, row.context);
    CHECK(flops.projections / 1e9 == Approx(row.projections).margin(0.05));
    CHECK(flops.attention / 1e9 == Approx(row.attention).margin(0.05));
    CHECK(flops.index / 1e9 == Approx(row.index).margin(0.05));
    CHECK(flops.total() / 1e9 == Approx(row.total).margin(0.1));
  }
  CHECK(flops_per_token(flash(), 1 << 20).attention / 1e9 == Approx(23.6).margin(0.05));
  CHECK(flops_per_token(pro(), 1 << 20).index / 1e9 == Approx(128.8).margin(0.05));
  CHECK(flops_per_token(flash(), 0).attention == 0);
}

TEST_CASE("model info counts what the files hold") {
  const auto model = Checkpoint::open(test::mini_checkpoint("--dtype official --shards 3"));
  REQUIRE(model);
  const ModelInfo info = model_info(**model), from_config = model_info((*model)->config());
  CHECK(info.tensor_bytes == from_config.tensor_bytes);
  CHECK(info.tensor_bytes == 17121998);  // what the generator wrote
  CHECK(info.bytes_per_token == from_config.bytes_per_token);
  CHECK(info.file_bytes > info.tensor_bytes);
  const Json json = to_json(info);
  CHECK(json["parameters"]["total"] == info.parameters.trunk + info.parameters.mtp);
  CHECK(json["contexts"].size() == 3);
  CHECK(json["bytes_by_type"]["F4_E2M1"]["tensors"] == 9 * 16 * 3);
}

TEST_CASE("model info reads like this") {
  CHECK(
      to_text(model_info(flash())) ==
      R"(architecture      DeepSeek-V4: 43 layers (2 window, 21 CSA, 20 HCA), 1 MTP, hidden 4096, 64 heads of 512
experts           256 routed, 6 a token, 1 shared, width 2048, 3 hash-routed layers
vocabulary        129280 tokens, context up to 1048576
parameters        284 G trunk, 6.61 G MTP, 13.3 G active a token
weights           149 GiB in 35020 tensors; 10.4 GiB touched a token
  F4_E2M1         132 GiB in 33792 tensors
  F8_E8M0         8.25 GiB in 34167 tensors
  F8_E4M3         5.61 GiB in 375 tensors
  BF16            2.64 GiB in 433 tensors
  F32             138 MiB in 417 tensors
  I64             17.8 MiB in 3 tensors

   context   cache packed   cache BF16   FLOP/token  projections    attention        index
      8192       30.5 MiB     59.1 MiB       29.5 G       26.5 G       2.30 G        705 M
    131072        442 MiB      865 MiB       42.6 G       26.5 G       4.82 G       11.3 G
   1048576       3.43 GiB     6.72 GiB        140 G       26.5 G       23.6 G       90.2 G
)");
}
