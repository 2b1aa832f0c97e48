#include "tests/support/seeded_sequence.h"

#include <cstring>
#include <random>
#include <vector>

namespace sable::inference::test {

namespace {

class Filler {
 public:
  Filler(const CacheLayout& layout, uint64_t seed) : layout_(layout), random_(seed) {}

  void entries(PageLog& log, size_t in_page) {
    each_item(log, in_page, layout_.entry_bytes, layout_.head_dim,
              [this](const std::vector<float>& x, std::byte* at) {
                pack_entry(layout_.entry_shape, x, at);
              });
  }
  void keys(PageLog& log, size_t in_page) {
    each_item(log, in_page, layout_.key_bytes, layout_.key_dim,
              [](const std::vector<float>& x, std::byte* at) { pack_key(x, at); });
  }
  void rows(CompressorState& state) {
    for (PageRef& set : state.sets) {
      if (!set) continue;
      const auto x = values(set.bytes() / sizeof(float));
      std::memcpy(set.data(), x.data(), set.bytes());
    }
  }

 private:
  std::vector<float> values(size_t n) {
    std::vector<float> x(n);
    for (float& v : x) v = static_cast<float>(static_cast<int>(random_() % 4096) - 2048) / 1024;
    return x;
  }

  /// A few hundred different items, each written many times: packing a million would take longer
  /// than what the tests measure.
  template <class Pack>
  void each_item(PageLog& log, size_t in_page, size_t bytes, size_t dim, const Pack& pack) {
    constexpr size_t kKinds = 509;
    std::vector<std::vector<std::byte>> kinds(kKinds, std::vector<std::byte>(bytes));
    for (auto& kind : kinds) {
      const std::vector<float> x = values(dim);
      if (layout_.format == CacheFormat::packed) {
        pack(x, kind.data());
      } else {
        std::memcpy(kind.data(), x.data(), bytes);
      }
    }
    for (const PageRef& page : log.pages) {
      for (size_t i = 0; i < in_page; ++i) {
        std::memcpy(page.data() + i * bytes, kinds[random_() % kKinds].data(), bytes);
      }
    }
  }

  const CacheLayout& layout_;
  std::mt19937_64 random_;
};

}  // namespace

Result<SequenceState> seeded_sequence(const CacheLayout& layout, PagePool& pool, uint64_t n_tokens,
                                      uint64_t seed) {
  SequenceState state(layout);
  state.start_at(n_tokens);
  SABLE_TRY_VOID(state.prepare(pool, n_tokens));
  state.commit(n_tokens);
  Filler fill(layout, seed);
  for (size_t l = 0; l < state.n_layers(); ++l) {
    LayerState& layer = state.layer(l);
    const size_t in_page = CacheLayout::entries_per_page(layout.ratios[l]);
    fill.entries(layer.window, CacheLayout::kWindowPage);
    fill.entries(layer.entries, in_page);
    fill.keys(layer.keys, in_page);
    fill.rows(layer.main);
    fill.rows(layer.index);
  }
  return state;
}

}  // namespace sable::inference::test
