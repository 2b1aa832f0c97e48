#include "agent/constraint/mask_vocabulary.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace sable::agent {

namespace {

using inference::TokenId;

void set(MaskWords& words, TokenId id) {
  words[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
}

bool well_formed_from(uint8_t place, std::string_view bytes) {
  for (const char c : bytes) {
    place = next_utf8(place, static_cast<uint8_t>(c));
    if (place == kIllFormed) return false;
  }
  return true;
}

using Entry = std::pair<std::string, TokenId>;

/// Adds the children of a node: [from, to) are the strings below it, sorted, which agree in their
/// first `length` bytes.
void grow(const std::vector<Entry>& sorted, size_t node, size_t from, size_t to, size_t length,
          MaskVocabulary::Tree& tree) {
  tree.nodes[node].first_token = static_cast<uint32_t>(tree.tokens.size());
  while (from < to && sorted[from].first.size() == length) {
    tree.tokens.push_back(sorted[from++].second);
  }
  tree.nodes[node].n_tokens =
      static_cast<uint32_t>(tree.tokens.size()) - tree.nodes[node].first_token;
  const auto first = static_cast<uint32_t>(tree.nodes.size());
  std::vector<std::pair<size_t, size_t>> ranges;
  for (size_t i = from; i < to;) {
    size_t end = i;
    while (end < to && sorted[end].first[length] == sorted[i].first[length]) ++end;
    tree.nodes.push_back({.byte = static_cast<uint8_t>(sorted[i].first[length])});
    ranges.emplace_back(i, end);
    i = end;
  }
  tree.nodes[node].first_child = first;
  tree.nodes[node].n_children = static_cast<uint32_t>(ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    grow(sorted, first + i, ranges[i].first, ranges[i].second, length + 1, tree);
  }
}

MaskVocabulary::Tree tree_of(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end());
  MaskVocabulary::Tree tree;
  tree.nodes.emplace_back();
  grow(entries, 0, 0, entries.size(), 0, tree);
  return tree;
}

}  // namespace

Result<std::shared_ptr<const MaskVocabulary>> MaskVocabulary::create(
    const inference::Tokenizer& tokenizer) {
  std::shared_ptr<MaskVocabulary> v(new MaskVocabulary(tokenizer));
  const size_t n = v->symbols_.n_ids();
  v->n_words_ = inference::TokenMask::words_for(n);
  v->text_.resize(v->n_words_);
  v->json_text_.resize(v->n_words_);
  for (auto& words : v->utf8_) words.resize(v->n_words_);
  std::vector<Entry> all, quoted;
  std::array<bool, kSymbols> alone{};
  for (size_t i = 0; i < n; ++i) {
    const auto id = static_cast<TokenId>(i);
    const auto symbols = v->symbols_.of(id);
    if (symbols.empty()) continue;
    if (symbols.size() == 1) alone[symbols.front()] = true;
    if (!v->symbols_.is_text(id)) {
      if (std::find(symbols.begin(), symbols.end(), kOtherSymbol) == symbols.end()) {
        v->marked_.push_back(id);
      }
      continue;
    }
    std::string bytes;
    for (const Symbol symbol : symbols) bytes += static_cast<char>(symbol);
    v->longest_token_ = std::max(v->longest_token_, bytes.size());
    set(v->text_, id);
    for (uint8_t place = 0; place < kUtf8Places; ++place) {
      if (well_formed_from(place, bytes)) set(v->utf8_[place], id);
    }
    const bool controls = std::any_of(bytes.begin(), bytes.end(),
                                      [](char c) { return static_cast<uint8_t>(c) < 0x20; });
    if (!controls && bytes.find_first_of("\"\\") != std::string::npos) {
      quoted.emplace_back(bytes, id);
    } else if (!controls && well_formed_from(0, bytes)) {
      set(v->json_text_, id);
    }
    all.emplace_back(std::move(bytes), id);
  }
  for (size_t symbol = 0; symbol < kOtherSymbol; ++symbol) {
    // These bytes stand in no well-formed text.
    if (symbol == 0xC0 || symbol == 0xC1 || (symbol >= 0xF5 && symbol <= 0xFF)) continue;
    if (!alone[symbol]) {
      return fail(ErrorCode::unsupported,
                  fmt::format("the model's tokenizer cannot write every text: {} {} has no token "
                              "of its own",
                              symbol < kDsmlSymbol ? "byte" : "marker", symbol));
    }
  }
  v->all_ = tree_of(std::move(all));
  v->quoted_ = tree_of(std::move(quoted));
  return std::shared_ptr<const MaskVocabulary>(std::move(v));
}

}  // namespace sable::agent
