// The same weights give the same logits from either container.
#include <cmath>
#include <cstring>

#include <catch2/catch.hpp>

#include "inference/inference.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;

namespace {

std::vector<float> logits_of(const std::filesystem::path& path) {
  EngineOptions options;
  options.arithmetic = Arithmetic::f32;
  options.fake_quant = false;
  options.activation_quant = false;
  options.n_threads = 2;
  const auto engine = Engine::open(path, options);
  if (!engine) FAIL(engine.error().message);
  std::vector<TokenId> ids(150);
  for (size_t t = 0; t < ids.size(); ++t)
    ids[t] = static_cast<TokenId>((37 * t + 11 * (t / 7) + 5) % 512);
  const auto sequence = (*engine)->start();
  REQUIRE(sequence->append(ids));
  std::vector<float> logits;
  sequence->on_logits([&](uint64_t, std::span<const float> row) {
    logits.insert(logits.end(), row.begin(), row.end());
  });
  Sequence* const one[] = {sequence.get()};
  while (sequence->n_waiting() > 0) REQUIRE((*engine)->step(one));
  return logits;
}

/// Writes `model` as a GGUF and gives the logits of both.
std::pair<std::vector<float>, std::vector<float>> both(const std::string& arguments, DType dense,
                                                       DType experts) {
  const auto folder = sable::test::mini_checkpoint(arguments);
  const sable::test::TemporaryFolder other;
  const auto model = Checkpoint::open(folder);
  REQUIRE(model);
  REQUIRE(convert(**model, other / "m.gguf", {.dense = dense, .experts = experts}));
  return {logits_of(folder), logits_of(other / "m.gguf")};
}

}  // namespace

TEST_CASE("a GGUF of the same weights gives the logits of the safetensors, bit for bit") {
  const auto [plain, same] =
      both("--dtype bf16 --layers 4 --ratios 0,4,128,4,0", DType::bf16, DType::bf16);
  REQUIRE(plain.size() == 150 * 512);
  CHECK(std::memcmp(plain.data(), same.data(), plain.size() * sizeof(float)) == 0);
  // FP8 with a power of two in front is a BF16 number, and MXFP4 is the official FP4.
  const auto [official, stacked] =
      both("--dtype official --gain --layers 3 --ratios 4,128,0,0 --hash-layers 1", DType::bf16,
           DType::mxfp4);
  REQUIRE(official.size() == stacked.size());
  CHECK(std::memcmp(official.data(), stacked.data(), official.size() * sizeof(float)) == 0);
}

TEST_CASE("a GGUF of rounded weights gives nearby logits") {
  // One layer: behind several, a choice of experts or entries that flips is not rounding any more.
  const auto [exact, rounded] =
      both("--dtype bf16 --layers 1 --ratios 0,0 --hash-layers 1", DType::q8_0, DType::q8_0);
  REQUIRE(exact.size() == rounded.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(exact[i] - rounded[i], 2);
    size += std::pow(exact[i], 2);
  }
  // Q8_0 keeps a weight within 1/254 of the largest of 32: noise of some 0.3 % a matrix.
  CHECK(std::sqrt(error / size) < 0.02);
  CHECK(error > 0);
}
