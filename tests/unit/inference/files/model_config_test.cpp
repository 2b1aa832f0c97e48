#include "inference/files/model_config.h"

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/json.h"
#include "inference/files/tensor_inventory.h"
#include "tests/unit/inference/files/published_models.h"

using namespace sable;
using namespace sable::inference;

TEST_CASE("the published Flash and Pro configurations are accepted") {
  const auto flash = config_from_json(test::flash_config());
  REQUIRE(flash);
  CHECK(flash->compress_ratios.size() == 44);
  CHECK(flash->ratio(2) == 4);
  CHECK(flash->ratio(41) == 128);
  CHECK(flash->hash_routed(2));
  CHECK_FALSE(flash->hash_routed(3));
  const auto pro = config_from_json(test::pro_config());
  REQUIRE(pro);
  CHECK(pro->ratio(0) == 128);
}

TEST_CASE("the inventory has as many tensors as the released files, scales counted") {
  // Tensors of the released checkpoints with their .scale tensors; deepseek-ai model repositories.
  const auto stored = [](const ModelConfig& config) {
    uint64_t n = 0;
    REQUIRE(for_each_tensor(config, [&n](const TensorSpec& spec) -> Result<void> {
      const bool quantized = spec.role == TensorRole::projection || spec.role == TensorRole::expert;
      n += quantized ? 2 : 1;
      return {};
    }));
    return n;
  };
  CHECK(stored(config_from_json(test::flash_config()).value()) == 69187);
  CHECK(stored(config_from_json(test::pro_config()).value()) == 145116);
}

TEST_CASE("trailing window layers of a drafter are not the trunk's") {
  Json config = test::flash_config();
  config["compress_ratios"].push_back(0);
  config["compress_ratios"].push_back(0);
  const auto read = config_from_json(config);
  REQUIRE(read);
  CHECK(read->compress_ratios.size() == 44);
}

TEST_CASE("a wrong field is named with what was expected and what was found") {
  const auto message = [](const char* key, const Json& value) {
    Json config = test::flash_config();
    if (value.is_discarded()) {
      config.erase(key);
    } else {
      config[key] = value;
    }
    const auto read = config_from_json(config);
    REQUIRE_FALSE(read);
    return read.error().message;
  };
  const Json gone(Json::value_t::discarded);
  CHECK(message("head_dim", gone) == "config field \"head_dim\" is missing");
  CHECK(message("head_dim", "512") ==
        "config field \"head_dim\": expected an integer, found \"512\"");
  CHECK(message("head_dim", 512.5) ==
        "config field \"head_dim\": expected an integer, found 512.5");
  CHECK(message("hidden_size", 18446744073709551615U).find("expected an integer") !=
        std::string::npos);
  CHECK(message("hidden_size", -4096) == "config: hidden_size must be 32..131072, found -4096");
  CHECK(message("hidden_size", 4097) ==
        "config: hidden_size must be a multiple of 128, found 4097");
  CHECK(message("scoring_func", "softmax") ==
        "config field \"scoring_func\": only \"sqrtsoftplus\" is supported, found \"softmax\"");
  CHECK(message("o_groups", 7) ==
        "config: num_attention_heads 64 must be a multiple of o_groups 7");
  CHECK(message("num_experts_per_tok", 257) ==
        "config: num_experts_per_tok must be 1..256, found 257");
  CHECK(message("compress_ratios", Json::array({0, 4})) ==
        "config: compress_ratios has 2 entries, expected 44 (layers plus MTP layers)");
  CHECK(message("rms_norm_eps", 0) == "config: rms_norm_eps must be a positive number, found 0");
  CHECK(message("rope_scaling", Json{{"type", "linear"}}) ==
        "config field \"rope_scaling.type\": only \"yarn\" is supported, found \"linear\"");
  CHECK(message("index_head_dim", 96) == "config: index_head_dim must be a power of two, found 96");
  CHECK(message("n_routed_experts", 16384).find("more than 262144 experts") != std::string::npos);
  CHECK(message("expert_dtype", "int4") ==
        "config: expert_dtype must be \"fp4\" or \"fp8\", found \"int4\"");
  Json ratio = test::flash_config()["compress_ratios"];
  ratio[5] = 8;
  CHECK(message("compress_ratios", ratio) ==
        "config: compress_ratios[5] must be 0, 4 or 128, found 8");
}

TEST_CASE("every field set to nonsense is refused or harmless, never a crash") {
  const Json nonsense[] = {
      -1, 0, INT64_MAX, INT64_MIN, 1e308, -0.5, "x", Json::array(), Json::object(), nullptr, true};
  const Json flash = test::flash_config();
  for (const auto& item : flash.items()) {
    for (const Json& value : nonsense) {
      Json config = flash;
      config[item.key()] = value;
      if (const auto read = config_from_json(config)) CHECK(check(*read));
    }
  }
}
