#include "inference/files/convert.h"

#include <cmath>
#include <filesystem>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "inference/files/number_formats.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;
using sable::test::mini_checkpoint;
using sable::test::TemporaryFolder;

namespace {

namespace fs = std::filesystem;

constexpr const char* kSmall =
    "--layers 3 --ratios 0,4,128,0 --hash-layers 1 --experts 4 --seed-prefix s3/ --gain";

std::unique_ptr<Checkpoint> open(const fs::path& path) {
  auto model = Checkpoint::open(path);
  INFO((model ? "" : model.error().message));
  REQUIRE(model);
  return std::move(*model);
}

std::vector<float> all_values(const Tensor& tensor) {
  std::vector<float> out(tensor.n_elements());
  const uint64_t rows = tensor.shape.size() < 2 ? 1 : tensor.rows(), cols = out.size() / rows;
  for (uint64_t row = 0; row < rows; ++row)
    dequantize_row(tensor, row, std::span(out).subspan(row * cols, cols));
  return out;
}

void check_same_bytes(const Checkpoint& a, const Checkpoint& b) {
  REQUIRE(a.tensors().size() == b.tensors().size());
  for (const Tensor& tensor : a.tensors()) {
    INFO(tensor.name);
    const Tensor* other = b.find(tensor.name);
    REQUIRE(other != nullptr);
    CHECK(other->type == tensor.type);
    CHECK(std::equal(tensor.bytes.begin(), tensor.bytes.end(), other->bytes.begin(),
                     other->bytes.end()));
    CHECK(std::equal(tensor.scales.begin(), tensor.scales.end(), other->scales.begin(),
                     other->scales.end()));
  }
}

}  // namespace

TEST_CASE("a GGUF in F32 holds the very numbers of the official FP8 and FP4 files") {
  const auto official = open(mini_checkpoint(std::string(kSmall) + " --dtype official"));
  TemporaryFolder folder;
  const auto report =
      convert(*official, folder / "m.gguf", {.dense = DType::f32, .experts = DType::f32});
  REQUIRE(report);
  CHECK(report->files == std::vector<fs::path>{folder / "m.mtp.gguf", folder / "m.gguf"});
  const auto gguf = open(folder / "m.gguf");
  CHECK(gguf->container() == Container::gguf);
  CHECK(gguf->tensors().size() == official->tensors().size());
  CHECK(gguf->config().num_nextn_predict_layers == 1);
  for (const Tensor& tensor : official->tensors()) {
    INFO(tensor.name);
    const Tensor* other = gguf->find(tensor.name);
    REQUIRE(other != nullptr);
    CHECK(other->shape == tensor.shape);
    CHECK(all_values(*other) == all_values(tensor));
  }
}

TEST_CASE("official to GGUF and back gives every byte again") {
  const auto official = open(mini_checkpoint(std::string(kSmall) + " --dtype official --shards 2"));
  TemporaryFolder folder;
  REQUIRE(convert(*official, folder / "m.gguf", {.dense = DType::bf16, .experts = DType::mxfp4}));
  const auto gguf = open(folder / "m.gguf");
  CHECK(gguf->find("layers.1.ffn.experts.2.w3.weight")->type == DType::mxfp4);
  REQUIRE(convert(*gguf, folder / "back",
                  {.to = Container::safetensors,
                   .dense = DType::f8_e4m3,
                   .experts = DType::f4_e2m1,
                   .shard_bytes_max = 1 << 20}));
  CHECK(fs::exists(folder / "back/model.safetensors.index.json"));
  const auto back = open(folder / "back");
  check_same_bytes(*official, *back);
  CHECK(config_to_json(back->config()) == config_to_json(official->config()));
  CHECK(back->tokenizer_json().value() == official->tokenizer_json().value());
}

TEST_CASE("a file converted to what it is stays the same") {
  const auto model = open(mini_checkpoint(std::string(kSmall) + " --dtype bf16"));
  TemporaryFolder folder;
  REQUIRE(convert(*model, folder / "same",
                  {.to = Container::safetensors, .dense = DType::bf16, .experts = DType::bf16}));
  check_same_bytes(*model, *open(folder / "same"));
}

TEST_CASE("lossy types stay within their step") {
  const auto model = open(mini_checkpoint(
      std::string(kSmall) + " --hidden 256 --moe-inter 256 --q-lora 256 --o-lora 128"));
  struct Case {
    DType type;
    double relative_rms;  // of the weights' own RMS, uniform values in blocks of equal magnitude
  };
  for (const Case& c :
       {Case{DType::q8_0, 0.006}, Case{DType::q4_k, 0.07}, Case{DType::q2_k, 0.32},
        Case{DType::bf16, 0.002}, Case{DType::f16, 0.0004}, Case{DType::mxfp4, 0.13}}) {
    INFO(name_of(c.type));
    TemporaryFolder folder;
    REQUIRE(convert(*model, folder / "m.gguf", {.dense = DType::q8_0, .experts = c.type}));
    const auto gguf = open(folder / "m.gguf");
    double error = 0, total = 0;
    for (const char* name :
         {"layers.0.ffn.experts.0.w1.weight", "layers.2.ffn.experts.3.w2.weight"}) {
      CHECK(gguf->find(name)->type == c.type);
      const auto exact = all_values(*model->find(name)), stored = all_values(*gguf->find(name));
      for (size_t i = 0; i < exact.size(); ++i) {
        error += std::pow(exact[i] - stored[i], 2);
        total += std::pow(exact[i], 2);
      }
    }
    CHECK(std::sqrt(error / total) < c.relative_rms);
    CHECK(std::sqrt(error / total) > 0);
  }
}

TEST_CASE("rows too short for a block type fall back, and the report says so") {
  const auto model =
      open(mini_checkpoint(std::string(kSmall) + " --dtype official"));  // experts of width 128
  TemporaryFolder folder;
  const auto report = convert(*model, folder / "m.gguf", {.experts = DType::q4_k});
  REQUIRE(report);
  CHECK(report->notes ==
        std::vector<std::string>{"rows of 128 elements cannot be Q4_K: written as Q8_0"});
  const auto gguf = open(folder / "m.gguf");
  CHECK(gguf->find("layers.0.ffn.experts.0.w1.weight")->type == DType::q4_k);
  CHECK(gguf->find("layers.0.ffn.experts.0.w2.weight")->type == DType::q8_0);
}

TEST_CASE("the GGUF carries the tokenizer, as arrays and as its JSON") {
  const auto model = open(mini_checkpoint(std::string(kSmall) + " --dtype official"));
  TemporaryFolder folder;
  REQUIRE(convert(*model, folder / "m.gguf", {}));
  const auto gguf = open(folder / "m.gguf");
  CHECK(gguf->tokenizer_json().value() == model->tokenizer_json().value());
  const TokenizerArrays* arrays = gguf->tokenizer_arrays();
  REQUIRE(arrays != nullptr);
  CHECK(arrays->model == "gpt2");
  CHECK(arrays->pre == "joyai-llm");
  CHECK(arrays->tokens.size() == 512);
  CHECK(arrays->tokens[3] == "\xC4\x80");  // byte 0 in the printable alphabet
  CHECK(arrays->types[0] == 3);            // control
  CHECK(arrays->types[3] == 1);            // normal
  CHECK(arrays->types[511] == 4);          // user defined
  CHECK(arrays->merges.front() == "\xC4\xA0 t");
  CHECK(arrays->bos_token_id == 0);
  CHECK(arrays->eos_token_id == 1);
  CHECK(model->tokenizer_arrays() == nullptr);
}

TEST_CASE("an MTP file is optional; half a trunk is not a model") {
  const auto model = open(mini_checkpoint(std::string(kSmall) + " --dtype official"));
  TemporaryFolder folder;
  REQUIRE(convert(*model, folder / "m.gguf", {}));
  fs::remove(folder / "m.mtp.gguf");
  CHECK(open(folder / "m.gguf")->config().num_nextn_predict_layers == 0);
  const std::string whole = folder.read("m.gguf");
  for (const size_t share : {1, 3, 9}) {
    folder.write("cut.gguf", whole.substr(0, whole.size() * share / 10));
    const auto cut = Checkpoint::open(folder / "cut.gguf");
    REQUIRE_FALSE(cut);
    CHECK(cut.error().message.find("cut.gguf: ") != std::string::npos);
  }
}

TEST_CASE("experts of a GGUF are views into the stack, by official name") {
  const auto model = open(mini_checkpoint(std::string(kSmall) + " --dtype official"));
  TemporaryFolder folder;
  REQUIRE(convert(*model, folder / "m.gguf", {.experts = DType::q8_0}));
  const auto gguf = open(folder / "m.gguf");
  const Tensor* first = gguf->find("layers.1.ffn.experts.0.w1.weight");
  const Tensor* second = gguf->find("layers.1.ffn.experts.1.w1.weight");
  REQUIRE(first != nullptr);
  REQUIRE(second != nullptr);
  CHECK(first->bytes.data() + first->bytes.size() == second->bytes.data());
  CHECK(gguf->find("layers.1.ffn.experts.4.w1.weight") == nullptr);
}

TEST_CASE("conversion refuses what it cannot do, and leaves nothing behind") {
  const auto model = open(mini_checkpoint(std::string(kSmall) + " --dtype official"));
  TemporaryFolder folder;
  CHECK(convert(*model, folder / "m.gguf", {.dense = DType::iq2_xxs}).error().message ==
        "IQ2_XXS cannot be written as dense tensors of a GGUF file");
  CHECK(convert(*model, folder / "m", {.to = Container::safetensors, .dense = DType::q8_0})
            .error()
            .code == ErrorCode::invalid_input);
  folder.write("taken.gguf", "x");
  CHECK(convert(*model, folder / "taken.gguf", {}).error().message ==
        (folder / "taken.gguf").string() + " exists already");
  std::stop_source stop;
  int calls = 0;
  ConvertOptions options;
  options.stop = stop.get_token();
  options.progress = [&](const Progress& progress) {
    CHECK(progress.done_bytes <= progress.total_bytes);
    if (++calls == 20) stop.request_stop();
  };
  CHECK(convert(*model, folder / "m.gguf", options).error().code == ErrorCode::cancelled);
  options.to = Container::safetensors;
  options.dense = DType::bf16;
  options.experts = DType::f4_e2m1;
  CHECK(convert(*model, folder / "m", options).error().code == ErrorCode::cancelled);
  size_t n_files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++n_files;
  CHECK(n_files == 1);  // the taken one
}
