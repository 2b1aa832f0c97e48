#include "inference/tokenizer/byte_pair_encoding.h"

#include <map>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;
using namespace sable::inference;

namespace {

struct Vocabulary {
  std::vector<VocabularyEntry> entries;
  std::vector<Merge> merges;
};

/// All bytes, and random merges over the first letters of the alphabet.
Vocabulary random_vocabulary(size_t n_merges) {
  Vocabulary v;
  std::map<std::string, TokenId> ids;
  const auto add = [&](std::string bytes) {
    const auto [it, fresh] = ids.emplace(bytes, static_cast<TokenId>(v.entries.size()));
    if (fresh) v.entries.push_back({VocabularyEntry::Kind::pieces, std::move(bytes)});
    return it->second;
  };
  for (unsigned b = 0; b < 256; ++b) add(std::string(1, static_cast<char>(b)));
  std::vector<TokenId> parts = {'a', 'b', 'c'};
  for (size_t i = 0; i < n_merges; ++i) {
    const TokenId left = *rc::gen::elementOf(parts), right = *rc::gen::elementOf(parts);
    const auto bytes = [&](TokenId id) { return v.entries[static_cast<size_t>(id)].bytes; };
    if (bytes(left).size() + bytes(right).size() > 64) continue;
    const TokenId result = add(bytes(left) + bytes(right));
    v.merges.push_back({left, right, result});
    parts.push_back(result);
  }
  // Ranks need not follow the order in which tokens were made.
  for (size_t i = v.merges.size(); i > 1; --i) {
    std::swap(v.merges[i - 1], v.merges[*rc::gen::inRange<size_t>(0, i)]);
  }
  return v;
}

/// The definition, word by word: look for the best pair, merge it, look again.
std::vector<TokenId> merge_plainly(const Vocabulary& v, const std::string& text) {
  std::map<std::pair<TokenId, TokenId>, std::pair<size_t, TokenId>> ranks;
  for (size_t i = 0; i < v.merges.size(); ++i) {
    ranks[{v.merges[i].left, v.merges[i].right}] = {i, v.merges[i].result};
  }
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  for (;;) {
    size_t best = ids.size(), best_rank = SIZE_MAX;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto it = ranks.find({ids[i], ids[i + 1]});
      if (it != ranks.end() && it->second.first < best_rank) {
        best = i;
        best_rank = it->second.first;
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = ranks[{ids[best], ids[best + 1]}].second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

/// Tokens one after the other, so that merges meet across their ends, and merges meet merges.
std::string text_of_tokens(const Vocabulary& v, size_t size_min) {
  std::string text;
  while (text.size() < size_min) {
    const bool letter = v.entries.size() == 256 || *rc::gen::inRange(0, 4) == 0;
    const size_t id = letter ? *rc::gen::element<size_t>('a', 'b', 'c', 'd')
                             : *rc::gen::inRange<size_t>(256, v.entries.size());
    text += v.entries[id].bytes;
  }
  return text;
}

}  // namespace

TEST_CASE("short and long pieces are merged as the definition says") {
  rc::prop("best rank first, leftmost of equals", [] {
    const Vocabulary v = random_vocabulary(*rc::gen::inRange<size_t>(0, 60));
    const auto encoding = BytePairEncoding::create(v.entries, v.merges, false);
    RC_ASSERT(encoding.has_value());
    BytePairEncoding::Scratch scratch;
    const auto letters = rc::gen::element('a', 'b', 'c', 'd');
    for (const size_t size : {size_t{0}, size_t{1}, size_t{2}, *rc::gen::inRange<size_t>(3, 49),
                              size_t{48}, size_t{49}, *rc::gen::inRange<size_t>(50, 300)}) {
      for (const auto& text :
           {*rc::gen::container<std::string>(size, letters), text_of_tokens(v, size)}) {
        std::vector<TokenId> ids;
        encoding->encode(text, scratch, ids, [](TokenId) { return true; });
        RC_ASSERT(ids == merge_plainly(v, text));
      }
    }
  });
}

TEST_CASE("a merge listed twice has its later rank") {
  std::vector<VocabularyEntry> entries;
  for (unsigned b = 0; b < 256; ++b) {
    entries.push_back({VocabularyEntry::Kind::pieces, std::string(1, static_cast<char>(b))});
  }
  entries.push_back({VocabularyEntry::Kind::pieces, "ab"});
  entries.push_back({VocabularyEntry::Kind::pieces, "bc"});
  const std::vector<Merge> merges = {{'a', 'b', 256}, {'b', 'c', 257}, {'a', 'b', 256}};
  const auto encoding = BytePairEncoding::create(entries, merges, false);
  REQUIRE(encoding);
  BytePairEncoding::Scratch scratch;
  std::vector<TokenId> ids;
  encoding->encode("abc", scratch, ids, [](TokenId) { return true; });
  CHECK(ids == std::vector<TokenId>{'a', 257});
}

TEST_CASE("a merge whose result is something else is refused") {
  std::vector<VocabularyEntry> entries;
  for (unsigned b = 0; b < 256; ++b) {
    entries.push_back({VocabularyEntry::Kind::pieces, std::string(1, static_cast<char>(b))});
  }
  entries.push_back({VocabularyEntry::Kind::pieces, "ab"});
  const std::vector<Merge> merges = {{'a', 'c', 256}};
  CHECK(BytePairEncoding::create(entries, merges, false).error().message ==
        "merge 0: token 256 is not tokens 97 and 99 put together");
}
