#include "inference/engine/token_mask.h"

#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

using namespace sable::inference;

namespace {

/// Allows the multiples of one more than the number of accepted tokens.
class Multiples final : public TokenMask {
 public:
  void fill_allowed(std::span<uint64_t> allowed) const override {
    for (size_t i = 0; i < allowed.size() * 64; i += n_accepted + 1)
      allowed[i / 64] |= uint64_t{1} << i % 64;
  }
  bool accept(TokenId token) override {
    if (static_cast<size_t>(token) % (n_accepted + 1) != 0) return false;
    ++n_accepted;
    return true;
  }
  void roll_back(size_t n) override { n_accepted -= n; }
  std::unique_ptr<TokenMask> clone() const override { return std::make_unique<Multiples>(*this); }
  size_t n_accepted = 0;
};

class Nothing final : public TokenMask {
 public:
  void fill_allowed(std::span<uint64_t>) const override {}
  bool accept(TokenId) override { return false; }
  void roll_back(size_t) override {}
  std::unique_ptr<TokenMask> clone() const override { return std::make_unique<Nothing>(); }
};

}  // namespace

TEST_CASE("a mask leaves exactly the allowed tokens") {
  Multiples mask;
  REQUIRE(mask.accept(7));
  REQUIRE(mask.accept(8));
  std::vector<float> logits(100, 1.0F);
  std::vector<uint64_t> words(TokenMask::words_for(logits.size()), ~uint64_t{0});
  CHECK(apply_mask(mask, words, logits) == 34);
  for (size_t i = 0; i < logits.size(); ++i) CHECK(std::isinf(logits[i]) == (i % 3 != 0));
}

TEST_CASE("a mask that allows nothing leaves the logits alone and says so") {
  std::vector<float> logits(65, 1.0F);
  std::vector<uint64_t> words(2);
  CHECK(apply_mask(Nothing(), words, logits) == 0);
  CHECK(logits == std::vector<float>(65, 1.0F));
}

TEST_CASE("log-probabilities sum to one and survive large logits") {
  const std::vector<float> logits{1000, 999, -1000, 998};
  const double z = log_normalizer(logits);
  double sum = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - z);
  CHECK(sum == Approx(1.0));
  CHECK(z == Approx(1000 + std::log(1 + std::exp(-1.0) + std::exp(-2.0))));
}
