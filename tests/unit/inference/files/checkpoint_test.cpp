#include "inference/files/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <stop_token>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/unique_fd.h"
#include "inference/files/number_formats.h"
#include "inference/files/tensor_inventory.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;
using sable::test::mini_checkpoint;

namespace {

/// The value rule of tests/golden/oracle/make_mini.py: u of element `i` of the tensor called
/// `name`.
float uniform(const std::string& name, uint64_t i) {
  uint64_t h = 0xcbf29ce484222325;
  for (const char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  uint64_t z = h + (i + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return static_cast<float>(z >> 40) * 0x1p-24F;
}

/// The generated value of a plain matrix, before any rounding.
float matrix_value(const Tensor& tensor, uint64_t i) {
  const float half_width = tensor.name == "embed.weight" ? 2.0F
                           : tensor.shape.back() >= 256  ? 0.125F
                                                         : 0.25F;
  return (2.0F * uniform(tensor.name, i) - 1.0F) * half_width;
}

std::vector<float> row_of(const Tensor& tensor, uint64_t row) {
  std::vector<float> out(tensor.cols());
  dequantize_row(tensor, row, out);
  return out;
}

}  // namespace

TEST_CASE("the F32 mini model holds exactly the generated values") {
  const auto model = Checkpoint::open(mini_checkpoint());
  REQUIRE(model);
  CHECK((*model)->config().hidden_size == 256);
  CHECK((*model)->config().num_nextn_predict_layers == 1);
  CHECK((*model)->tensors().size() == count_tensors((*model)->config()));
  const Tensor* embed = (*model)->find("embed.weight");
  REQUIRE(embed != nullptr);
  CHECK(row_of(*embed, 0)[0] == (2 * 0.51751995F - 1) * 2);
  for (const char* name :
       {"embed.weight", "layers.2.attn.wq_a.weight", "layers.7.ffn.experts.15.w2.weight",
        "mtp.0.h_proj.weight", "layers.4.attn.indexer.compressor.wgate.weight"}) {
    INFO(name);
    const Tensor* tensor = (*model)->find(name);
    REQUIRE(tensor != nullptr);
    for (const uint64_t row : {uint64_t{0}, tensor->rows() / 2, tensor->rows() - 1}) {
      const auto values = row_of(*tensor, row);
      for (uint64_t i = 0; i < values.size(); ++i) {
        REQUIRE(values[i] == matrix_value(*tensor, row * tensor->cols() + i));
      }
    }
  }
  CHECK((*model)->find("layers.0.attn.compressor.wkv.weight") == nullptr);
  CHECK((*model)->find("no such tensor") == nullptr);
}

TEST_CASE("BF16 weights are the generated values rounded to nearest even") {
  const auto model = Checkpoint::open(mini_checkpoint("--dtype bf16"));
  REQUIRE(model);
  const Tensor* tensor = (*model)->find("layers.3.attn.wo_b.weight");
  REQUIRE(tensor != nullptr);
  CHECK(tensor->type == DType::bf16);
  for (uint64_t row = 0; row < tensor->rows(); row += 17) {
    const auto values = row_of(*tensor, row);
    for (uint64_t i = 0; i < values.size(); ++i) {
      const float exact = matrix_value(*tensor, row * tensor->cols() + i);
      REQUIRE(values[i] == float_from_bf16(bf16_from_float(exact)));
    }
  }
}

TEST_CASE(
    "FP8 and FP4 weights are the generated values within half a step of their block's scale") {
  const auto model = Checkpoint::open(mini_checkpoint("--dtype official --shards 3"));
  REQUIRE(model);
  CHECK((*model)->config().expert_dtype == "fp4");
  struct Case {
    const char* name;
    DType type;
    int mantissa_bits, exponent_min;
  };
  for (const Case& c : {Case{"layers.2.attn.wq_b.weight", DType::f8_e4m3, 3, -6},
                        Case{"mtp.0.e_proj.weight", DType::f8_e4m3, 3, -6},
                        Case{"layers.5.ffn.experts.3.w1.weight", DType::f4_e2m1, 1, 0}}) {
    INFO(c.name);
    const Tensor* tensor = (*model)->find(c.name);
    REQUIRE(tensor != nullptr);
    CHECK(tensor->type == c.type);
    const uint64_t group = c.type == DType::f4_e2m1 ? 32 : 128;
    for (uint64_t row = 0; row < tensor->rows(); row += 13) {
      const auto values = row_of(*tensor, row);
      for (uint64_t i = 0; i < values.size(); ++i) {
        const uint64_t at = c.type == DType::f4_e2m1 ? row * tensor->cols() / group + i / group
                                                     : row / 128 * (tensor->cols() / 128) + i / 128;
        const float scale = float_from_e8m0(std::to_integer<uint8_t>(tensor->scales[at]));
        const float exact = matrix_value(*tensor, row * tensor->cols() + i);
        const int exponent =
            exact == 0 ? c.exponent_min : std::max(std::ilogb(exact / scale), c.exponent_min);
        const float half_step = std::ldexp(scale, exponent - c.mantissa_bits - 1);
        REQUIRE(std::abs(values[i] - exact) <= half_step);
      }
    }
  }
}

TEST_CASE("block scales that differ are applied to their own block") {
  const auto model = Checkpoint::open(mini_checkpoint("--dtype official --gain --seed-prefix v7/"));
  REQUIRE(model);
  const Tensor* tensor = (*model)->find("layers.2.attn.wq_b.weight");
  REQUIRE(tensor != nullptr);
  // The gain of tile t is 2^(floor(3u) - 1); a reader that mixes up tiles is off by factors of two.
  const uint64_t tiles = tensor->cols() / 128;
  for (uint64_t row = 0; row < tensor->rows(); row += 61) {
    const auto values = row_of(*tensor, row);
    for (uint64_t i = 0; i < values.size(); i += 7) {
      const float u = uniform("v7/" + tensor->name + ".gain", row / 128 * tiles + i / 128);
      const float gain = std::exp2(std::floor(3 * u) - 1);
      const float exact =
          (2.0F * uniform("v7/" + tensor->name, row * tensor->cols() + i) - 1.0F) * 0.25F * gain;
      REQUIRE(std::abs(values[i] - exact) <= std::abs(exact) / 16 + gain * 0x1p-11F);
    }
  }
}

TEST_CASE("one file and three shards hold the same tensors") {
  const auto one = Checkpoint::open(mini_checkpoint("--dtype official"));
  const auto three = Checkpoint::open(mini_checkpoint("--dtype official --shards 3"));
  REQUIRE(one);
  REQUIRE(three);
  for (const Tensor& tensor : (*one)->tensors()) {
    const Tensor* other = (*three)->find(tensor.name);
    REQUIRE(other != nullptr);
    CHECK(std::equal(tensor.bytes.begin(), tensor.bytes.end(), other->bytes.begin(),
                     other->bytes.end()));
    CHECK(std::equal(tensor.scales.begin(), tensor.scales.end(), other->scales.begin(),
                     other->scales.end()));
  }
}

TEST_CASE("any shape with the same invariants opens") {
  for (const char* arguments : {"--hidden 384 --layers 2 --ratios 4,128,0 --window 48",
                                "--head-dim 512 --heads 2 --layers 4 --ratios 0,4,128,4,0",
                                "--layers 1 --ratios 128 --mtp 0 --hash-layers 0"}) {
    INFO(arguments);
    const auto model = Checkpoint::open(mini_checkpoint(arguments));
    REQUIRE(model);
    CHECK((*model)->tensors().size() == count_tensors((*model)->config()));
  }
}

TEST_CASE("a trunk without its MTP block opens, half an MTP block does not") {
  const auto folder = mini_checkpoint("--layers 1 --ratios 0,0 --hash-layers 0 --experts 4");
  const auto whole = Checkpoint::open(folder);
  REQUIRE(whole);
  CHECK((*whole)->config().num_nextn_predict_layers == 1);

  const auto trunk = mini_checkpoint("--layers 1 --ratios 0 --hash-layers 0 --experts 4 --mtp 0");
  test::TemporaryFolder mixed;
  std::filesystem::copy(trunk / "model.safetensors", mixed / "model.safetensors");
  std::filesystem::copy(folder / "config.json", mixed / "config.json");
  const auto without = Checkpoint::open(mixed.path());
  REQUIRE(without);
  CHECK((*without)->config().num_nextn_predict_layers == 0);
  CHECK((*without)->config().compress_ratios.size() == 1);
}

TEST_CASE(
    "a shape that the configuration does not ask for is refused with file, tensor and reason") {
  const auto folder = mini_checkpoint("--layers 1 --ratios 0 --hash-layers 0 --experts 4 --mtp 0");
  test::TemporaryFolder copy;
  std::filesystem::copy(folder / "model.safetensors", copy / "model.safetensors");
  auto config = read_file(folder / "config.json").value();
  const auto at = config.find("\"q_lora_rank\": 128");
  REQUIRE(at != std::string::npos);
  copy.write("config.json", config.replace(at, 18, "\"q_lora_rank\": 256"));
  const auto model = Checkpoint::open(copy.path());
  REQUIRE_FALSE(model);
  CHECK(model.error().code == ErrorCode::corrupt);
  CHECK(model.error().message ==
        copy.path().string() +
            ": tensor \"layers.0.attn.wq_a.weight\": shape [128, 256], the configuration "
            "asks for [256, 256]");
}

TEST_CASE("what is no model is refused in a sentence") {
  test::TemporaryFolder folder;
  CHECK(Checkpoint::open(folder / "absent").error().code == ErrorCode::not_found);
  CHECK(Checkpoint::open(folder.path()).error().code == ErrorCode::not_found);  // no config.json
  folder.write("notes.txt", "hello");
  CHECK(Checkpoint::open(folder / "notes.txt").error().code == ErrorCode::unsupported);
  folder.write("config.json", "{}");
  CHECK(Checkpoint::open(folder.path()).error().message ==
        (folder / "config.json").string() + ": config field \"vocab_size\" is missing");
}

TEST_CASE("released pages come back when they are read") {
  const auto model = Checkpoint::open(mini_checkpoint());
  REQUIRE(model);
  const Tensor* tensor = (*model)->find("layers.1.attn.wo_b.weight");
  REQUIRE(tensor != nullptr);
  const auto before = row_of(*tensor, 5);
  (*model)->release(*tensor);
  CHECK(row_of(*tensor, 5) == before);
  (*model)->evict(*tensor);
  CHECK(row_of(*tensor, 5) == before);
  (*model)->prefetch(*tensor);
  const auto resident = (*model)->resident_bytes();
  REQUIRE(resident);
  CHECK(*resident > 0);
  CHECK(*resident <= (*model)->file_bytes() + 4096);
}

/// Whether this process has a page at an address (proc_pid_pagemap(5), bit 63).
bool is_mapped(const std::byte* at) {
  const UniqueFd pages(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  const auto page = reinterpret_cast<uintptr_t>(at) / static_cast<uintptr_t>(::getpagesize());
  uint64_t entry = 0;
  constexpr auto kBytes = sizeof entry;
  REQUIRE(::pread(pages.get(), &entry, kBytes, static_cast<off_t>(page * kBytes)) == kBytes);
  return (entry >> 63) == 1;
}

TEST_CASE("a populated checkpoint is there before anyone reads it") {
  const auto model = Checkpoint::open(mini_checkpoint());
  REQUIRE(model);
  const auto n_mapped = [&] {
    return std::ranges::count_if((*model)->tensors(),
                                 [](const Tensor& t) { return is_mapped(t.bytes.data()); });
  };
  for (const Tensor& tensor : (*model)->tensors()) (*model)->release(tensor);
  REQUIRE(n_mapped() == 0);
  std::stop_source stopped;
  stopped.request_stop();
  (*model)->populate(stopped.get_token());
  CHECK(n_mapped() == 0);
  (*model)->populate({});
  CHECK(n_mapped() == std::ssize((*model)->tensors()));
}
