#include "inference/files/gguf.h"

#include <cstring>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "inference/files/gguf_config.h"
#include "inference/files/gguf_names.h"
#include "inference/files/number_formats.h"
#include "inference/files/tensor_inventory.h"
#include "tests/unit/inference/files/published_models.h"

using namespace sable;
using namespace sable::inference;

namespace {

using Metadata = std::vector<std::pair<std::string, GgufValue>>;

Result<Gguf> parse(const std::string& file) { return parse_gguf(std::as_bytes(std::span(file))); }

/// Builds odd files byte by byte.
struct Raw {
  std::string out = "GGUF";
  template <class T>
  Raw& put(T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Raw& text(const std::string& s) {
    put(uint64_t{s.size()});
    out += s;
    return *this;
  }
  Raw& head(uint64_t tensors, uint64_t keys) { return put(uint32_t{3}).put(tensors).put(keys); }
  Raw& tensor(const std::string& name, std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
    text(name).put(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) put(dim);
    return put(type).put(offset);
  }
  std::string with_data(size_t bytes) const {
    std::string file = out;
    file.resize((file.size() + 31) / 32 * 32);
    return file + std::string(bytes, 'x');
  }
};

std::string error_of(const std::string& file) {
  const auto gguf = parse(file);
  REQUIRE_FALSE(gguf);
  return gguf.error().message;
}

}  // namespace

TEST_CASE("GGUF metadata and tensors written are those read") {
  const Metadata metadata{{"a.u32", gguf_u32(7)},
                          {"a.f32", gguf_f32(0.5F)},
                          {"a.bool", gguf_bool(true)},
                          {"a.text", gguf_string("h\xC3\xA9")},
                          {"a.ints", gguf_i32_array({1, -2, 3})},
                          {"a.floats", gguf_f32_array({1.5, 2.5})},
                          {"a.texts", gguf_string_array({"", "x y"})}};
  const GgufTensor tensors[] = {{"one", DType::f32, {3}, {}},
                                {"two", DType::q8_0, {2, 64}, {}},
                                {"three", DType::mxfp4, {2, 3, 32}, {}}};
  std::string file = gguf_header(metadata, tensors);
  CHECK(file.size() % 32 == 0);
  file += std::string(32 + 160 + 128, 'x');  // 12, 136 and 102 bytes, padded
  const auto out = parse(file);
  REQUIRE(out);
  CHECK(out->metadata.size() == 7);
  CHECK(out->integer("a.u32") == 7);
  CHECK(out->number("a.f32") == 0.5);
  CHECK(out->integer("a.bool") == 1);
  CHECK(out->text("a.text") == "h\xC3\xA9");
  CHECK(out->array("a.ints")->integers == std::vector<int64_t>{1, -2, 3});
  CHECK(out->array("a.floats")->numbers == std::vector<double>{1.5, 2.5});
  CHECK(out->array("a.texts")->strings == std::vector<std::string>{"", "x y"});
  REQUIRE(out->tensors.size() == 3);
  CHECK(out->tensors[1].shape == std::vector<uint64_t>{2, 64});
  CHECK(out->tensors[1].bytes.size() == 136);
  CHECK(out->tensors[2].shape == std::vector<uint64_t>{2, 3, 32});
  CHECK(out->tensors[2].bytes.size() == 102);
  // The last padding may be missing, the last byte of data may not.
  CHECK(parse(file.substr(0, file.size() - 26)));
  CHECK(error_of(file.substr(0, file.size() - 27))
            .find("tensor \"three\": 102 bytes at offset 192 end behind") == 0);
  CHECK(error_of(file + 'x') == "1 bytes after the last tensor belong to none");
}

TEST_CASE("hostile GGUF files are refused by name and reason") {
  CHECK(error_of("") == "the file ends inside the header (truncated?)");
  CHECK(error_of("GGML....") == "not a GGUF file (wrong magic)");
  CHECK(error_of(Raw().put(uint32_t{1}).put(uint64_t{0}).put(uint64_t{0}).out)
            .find("GGUF version 1") == 0);
  CHECK(error_of(Raw().head(UINT64_MAX, 0).out) ==
        "18446744073709551615 tensors do not fit into the file");
  CHECK(error_of(Raw().head(0, UINT64_MAX).out) ==
        "18446744073709551615 metadata keys do not fit into the file");
  CHECK(error_of(Raw().head(0, 1).put(UINT64_MAX).put(uint64_t{0}).out).find("truncated") !=
        std::string::npos);
  CHECK(error_of(Raw().head(0, 1).text("key").put(uint32_t{99}).out) ==
        "metadata key \"key\": unknown type 99");
  CHECK(error_of(Raw().head(0, 1).text("key").put(uint32_t{7}).put(uint8_t{2}).out) ==
        "metadata key \"key\": boolean with value 2");
  CHECK(error_of(
            Raw().head(0, 1).text("key").put(uint32_t{9}).put(uint32_t{9}).put(uint64_t{1}).out) ==
        "metadata key \"key\": array of unsupported type 9");
  CHECK(error_of(Raw().head(0, 1).text("key").put(uint32_t{9}).put(uint32_t{4}).put(UINT64_MAX).out)
            .find("truncated") != std::string::npos);
  CHECK(error_of(Raw()
                     .head(0, 2)
                     .text("k")
                     .put(uint32_t{4})
                     .put(1)
                     .text("k")
                     .put(uint32_t{4})
                     .put(1)
                     .out) == "metadata key \"k\" appears twice");
  CHECK(error_of(Raw().head(1, 0).tensor("t", {1, 1, 1, 1, 1}, 0, 0).out) ==
        "tensor \"t\": 5 dimensions (at most 4)");
  CHECK(error_of(Raw().head(1, 0).tensor("t", {uint64_t{1} << 63, 4}, 0, 0).out) ==
        "tensor \"t\": the shape is absurdly large");
  CHECK(error_of(Raw().head(1, 0).tensor("t", {4}, 4, 0).with_data(32)) ==
        "tensor \"t\": unsupported ggml type number 4");
  CHECK(error_of(Raw().head(1, 0).tensor("t", {31}, 8, 0).with_data(64)) ==
        "tensor \"t\": rows of 31 elements do not fill blocks of 32 (Q8_0)");
  CHECK(error_of(Raw().head(1, 0).tensor("t", {4}, 0, 32).with_data(64)) ==
        "tensor \"t\": offset 32, expected 0 right after the tensor before");
  CHECK(error_of(Raw().head(2, 0).tensor("t", {4}, 0, 0).tensor("u", {4}, 0, 0).with_data(64)) ==
        "tensor \"u\": offset 0, expected 32 right after the tensor before");
  CHECK(error_of(Raw().head(2, 0).tensor("t", {4}, 0, 0).tensor("t", {4}, 0, 32).with_data(64)) ==
        "tensor \"t\" appears twice");
  CHECK(
      error_of(Raw().head(0, 1).text("general.alignment").put(uint32_t{4}).put(uint32_t{3}).out) ==
      "general.alignment 3 is no sensible power of two");
  // Names are shown harmlessly.
  CHECK(error_of(Raw().head(1, 0).tensor("\x1B[2J", {4}, 4, 0).with_data(32)).find('\x1B') ==
        std::string::npos);
}

TEST_CASE("a damaged GGUF file is refused or read, never a crash") {
  const Metadata metadata{
      {"a.u32", gguf_u32(7)}, {"a.texts", gguf_string_array({"x", "y z"})}, {"a.f", gguf_f32(1)}};
  const GgufTensor tensors[] = {{"one", DType::f32, {3}, {}}, {"two", DType::q8_0, {2, 64}, {}}};
  const std::string good = gguf_header(metadata, tensors) + std::string(32 + 160, 'x');
  REQUIRE(parse(good));
  rc::prop("after any three byte changes and any cut", [&good] {
    std::string bad = good;
    for (int i = 0; i < 3; ++i)
      bad[*rc::gen::inRange<size_t>(0, bad.size())] = *rc::gen::arbitrary<char>();
    bad.resize(*rc::gen::inRange<size_t>(0, bad.size() + 1));
    if (const auto gguf = parse(bad)) {
      size_t total = 0;
      for (const GgufTensor& tensor : gguf->tensors) total += tensor.bytes.size();
      RC_ASSERT(total <= bad.size());
    }
  });
}

TEST_CASE("every official tensor has a GGUF name that leads back to it") {
  auto config = config_from_json(test::flash_config()).value();
  config.n_routed_experts = 8;
  REQUIRE(for_each_tensor(config, [](const TensorSpec& spec) -> Result<void> {
    const auto gguf = gguf_name_of(spec.name);
    REQUIRE(gguf.has_value());
    const auto place = place_of_gguf(*gguf);
    REQUIRE(place.has_value());
    CHECK(place->stacked == (spec.role == TensorRole::expert));
    if (place->stacked) {
      CHECK(spec.name.starts_with(place->official));
      CHECK(spec.name.ends_with("." + place->matrix + ".weight"));
    } else {
      CHECK(place->official == spec.name);
    }
    return {};
  }));
  CHECK(gguf_name_of("layers.3.ffn.experts.7.w1.weight") == "blk.3.ffn_gate_exps.weight");
  CHECK(gguf_name_of("mtp.0.ffn.experts.7.w2.weight") == "mtp.0.ffn_down_exps.weight");
  for (const char* name :
       {"", "blk.", "blk..attn_norm.weight", "blk.01.attn_norm.weight", "blk.x.attn_norm.weight",
        "blk.0.e_proj.weight", "blk.99999999.attn_norm.weight", "rope_freqs.weight"}) {
    CHECK_FALSE(place_of_gguf(name));
  }
}

TEST_CASE("a configuration survives GGUF metadata, its decimals included") {
  for (const Json& json : {test::flash_config(), test::pro_config()}) {
    const auto config = config_from_json(json).value();
    Gguf gguf;
    gguf.metadata = gguf_metadata_of(config);
    auto back = config_from_gguf(gguf);
    REQUIRE(back);
    CHECK(back->num_nextn_predict_layers == 0);
    add_mtp_layers(*back, 1);
    Json expected = config_to_json(config);
    expected.erase("expert_dtype");
    expected.erase("quantization_config");
    CHECK(config_to_json(*back) == expected);
  }
}

TEST_CASE("GGUF metadata that does not fit is named") {
  const auto error_with = [](const std::string& key, std::optional<GgufValue> value) {
    Gguf gguf;
    for (auto& entry : gguf_metadata_of(config_from_json(test::flash_config()).value())) {
      if (entry.first != key) gguf.metadata.push_back(std::move(entry));
    }
    if (value) gguf.metadata.emplace_back(key, std::move(*value));
    const auto config = config_from_gguf(gguf);
    REQUIRE_FALSE(config);
    return config.error().message;
  };
  CHECK(error_with("general.architecture", gguf_string("llama")) ==
        "architecture \"llama\" is not supported (only deepseek4)");
  CHECK(error_with("deepseek4.block_count", std::nullopt) ==
        "metadata key \"deepseek4.block_count\": missing");
  CHECK(error_with("deepseek4.block_count", gguf_string("x")) ==
        "metadata key \"deepseek4.block_count\": expected an integer");
  CHECK(
      error_with("deepseek4.block_count", gguf_u32(4000000000U)).find("entries for 4096 layers") !=
      std::string::npos);
  CHECK(error_with("deepseek4.expert_gating_func", gguf_u32(2)) ==
        "metadata key \"deepseek4.expert_gating_func\": only 4 is supported, found 2");
  CHECK(error_with("deepseek4.swiglu_clamp_exp", gguf_f32_array({10, 7})).find("differ by layer") !=
        std::string::npos);
  CHECK(error_with("deepseek4.attention.compress_ratios", gguf_i32_array({4}))
            .find("1 entries for 43 layers") != std::string::npos);
}
