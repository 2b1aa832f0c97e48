#include "inference/tokenizer/byte_pair_encoding.h"

#include <algorithm>
#include <bit>
#include <functional>

#include <fmt/format.h>

#include "base/check.h"

namespace sable::inference {

namespace {

// Up to here looking at every pair again after each merge is faster than keeping a heap.
constexpr size_t kShortPiece = 48;

// A token taken apart costs a call for each level of its merges.
constexpr size_t kTokenBytesMax = 4096;

constexpr uint32_t kNoRank = UINT32_MAX;

constexpr uint64_t pair_of(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

/// Mixes all bits of the pair into all bits of the hash (the finaliser of MurmurHash3, Austin
/// Appleby).
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ x >> 33) * 0xFF51AFD7ED558CCDu;
  x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53u;
  return x ^ x >> 33;
}

size_t hash_of(std::string_view bytes) { return std::hash<std::string_view>{}(bytes); }

}  // namespace

Result<BytePairEncoding> BytePairEncoding::create(std::span<const VocabularyEntry> vocabulary,
                                                  std::span<const Merge> merges,
                                                  bool ignore_merges) {
  using Kind = VocabularyEntry::Kind;
  BytePairEncoding made;
  made.vocabulary_ = vocabulary;

  made.by_bytes_.assign(std::bit_ceil(vocabulary.size() * 2 + 2), -1);
  const size_t mask = made.by_bytes_.size() - 1;
  for (size_t id = 0; id < vocabulary.size(); ++id) {
    const VocabularyEntry& entry = vocabulary[id];
    if (entry.kind != Kind::pieces) continue;
    if (entry.bytes.empty() || entry.bytes.size() > kTokenBytesMax) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("token {} has {} bytes; 1 to {} are possible", id, entry.bytes.size(),
                              kTokenBytesMax));
    }
    size_t slot = hash_of(entry.bytes) & mask;
    for (; made.by_bytes_[slot] >= 0; slot = (slot + 1) & mask) {
      if (vocabulary[static_cast<size_t>(made.by_bytes_[slot])].bytes == entry.bytes) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("tokens {} and {} have the same bytes", made.by_bytes_[slot], id));
      }
    }
    made.by_bytes_[slot] = static_cast<TokenId>(id);
  }

  std::string missing;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    made.byte_tokens_[byte] = made.find({&text, 1});
    if (made.byte_tokens_[byte] < 0) missing += fmt::format(" {:02X}", byte);
  }
  if (!missing.empty()) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("the vocabulary has no token for the bytes{}, so that it could not encode "
                    "every text",
                    missing));
  }

  made.merges_.resize(std::bit_ceil(merges.size() * 2 + 2));
  made.parts_.assign(vocabulary.size(), {-1, -1});
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const auto entry = [&](TokenId id) -> const VocabularyEntry& {
      SABLE_CHECK(id >= 0 && static_cast<size_t>(id) < vocabulary.size());
      return vocabulary[static_cast<size_t>(id)];
    };
    const VocabularyEntry& result = entry(merge.result);
    if (result.kind != Kind::pieces || entry(merge.left).kind != Kind::pieces ||
        entry(merge.right).kind != Kind::pieces ||
        result.bytes != entry(merge.left).bytes + entry(merge.right).bytes) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("merge {}: token {} is not tokens {} and {} put together", rank,
                              merge.result, merge.left, merge.right));
    }
    made.add_merge(merge, static_cast<uint32_t>(rank));
    auto& parts = made.parts_[static_cast<size_t>(merge.result)];
    if (parts.first < 0) parts = {merge.left, merge.right};
  }

  made.encodes_to_itself_.assign(vocabulary.size(), false);
  Scratch scratch;
  for (size_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary[id].kind != Kind::pieces) continue;
    if (!ignore_merges) {
      scratch.ids.clear();
      made.merge_all(vocabulary[id].bytes, scratch);
      if (scratch.ids.size() != 1 || static_cast<size_t>(scratch.ids[0]) != id) continue;
    }
    made.encodes_to_itself_[id] = true;
  }
  return made;
}

TokenId BytePairEncoding::find(std::string_view bytes) const {
  if (bytes.empty() || bytes.size() > kTokenBytesMax) return -1;
  const size_t mask = by_bytes_.size() - 1;
  for (size_t slot = hash_of(bytes) & mask; by_bytes_[slot] >= 0; slot = (slot + 1) & mask) {
    if (vocabulary_[static_cast<size_t>(by_bytes_[slot])].bytes == bytes) return by_bytes_[slot];
  }
  return -1;
}

TokenId BytePairEncoding::whole_piece(std::string_view piece) const {
  const TokenId id = find(piece);
  return id >= 0 && encodes_to_itself_[static_cast<size_t>(id)] ? id : -1;
}

const BytePairEncoding::MergeSlot* BytePairEncoding::find_merge(TokenId left, TokenId right) const {
  const uint64_t pair = pair_of(left, right);
  const size_t mask = merges_.size() - 1;
  for (size_t slot = mix(pair) & mask; merges_[slot].pair != kEmpty; slot = (slot + 1) & mask) {
    if (merges_[slot].pair == pair) return &merges_[slot];
  }
  return nullptr;
}

void BytePairEncoding::add_merge(const Merge& merge, uint32_t rank) {
  const uint64_t pair = pair_of(merge.left, merge.right);
  const size_t mask = merges_.size() - 1;
  size_t slot = mix(pair) & mask;
  while (merges_[slot].pair != kEmpty && merges_[slot].pair != pair) slot = (slot + 1) & mask;
  merges_[slot] = {pair, rank, merge.result};  // listed twice: the later rank counts
}

void BytePairEncoding::merge_all(std::string_view piece, Scratch& scratch) const {
  if (piece.size() <= kShortPiece) {
    merge_short(piece, scratch);
  } else {
    merge_long(piece, scratch);
  }
}

void BytePairEncoding::merge_short(std::string_view piece, Scratch& scratch) const {
  std::vector<TokenId>& ids = scratch.ids;
  std::vector<uint32_t>& ranks = scratch.ranks;  // ranks[i]: of ids[i] with ids[i + 1]
  for (const char byte : piece) ids.push_back(byte_tokens_[static_cast<uint8_t>(byte)]);
  const auto rank_at = [&](size_t i) {
    const MergeSlot* merge = i + 1 < ids.size() ? find_merge(ids[i], ids[i + 1]) : nullptr;
    return merge == nullptr ? kNoRank : merge->rank;
  };
  ranks.resize(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) ranks[i] = rank_at(i);
  while (!ids.empty()) {
    const auto best = std::min_element(ranks.begin(), ranks.end());  // the first of equals
    if (*best == kNoRank) return;
    const auto i = static_cast<size_t>(best - ranks.begin());
    ids[i] = find_merge(ids[i], ids[i + 1])->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    ranks.erase(ranks.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    ranks[i] = rank_at(i);
    if (i > 0) ranks[i - 1] = rank_at(i - 1);
  }
}

void BytePairEncoding::merge_long(std::string_view piece, Scratch& scratch) const {
  SABLE_CHECK(piece.size() < kNone);
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  const auto n = static_cast<uint32_t>(piece.size());
  for (uint32_t i = 0; i < n; ++i) {
    symbols.push_back({byte_tokens_[static_cast<uint8_t>(piece[i])], i == 0 ? kNone : i - 1,
                       i + 1 == n ? kNone : i + 1});
  }
  const auto candidate = [&](uint32_t left) -> const MergeSlot* {
    const uint32_t right = symbols[left].next;
    return right == kNone ? nullptr : find_merge(symbols[left].id, symbols[right].id);
  };
  for (uint32_t i = 0; i < n; ++i) {
    if (const MergeSlot* merge = candidate(i)) heap.push_back(uint64_t{merge->rank} << 32 | i);
  }
  // Smallest first: by rank, then from left to right. A merge leaves the entries of pairs that are
  // no more in the heap; they are recognised by a rank that is not that of the pair now at their
  // place.
  const std::greater<> later;
  std::make_heap(heap.begin(), heap.end(), later);
  const auto offer = [&](uint32_t left) {
    if (left == kNone) return;
    if (const MergeSlot* merge = candidate(left)) {
      heap.push_back(uint64_t{merge->rank} << 32 | left);
      std::push_heap(heap.begin(), heap.end(), later);
    }
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const auto rank = static_cast<uint32_t>(heap.back() >> 32);
    const auto left = static_cast<uint32_t>(heap.back());
    heap.pop_back();
    if (symbols[left].id < 0) continue;  // merged into its left neighbour
    const MergeSlot* merge = candidate(left);
    if (merge == nullptr || merge->rank != rank) continue;
    const uint32_t right = symbols[left].next;
    symbols[left].id = merge->result;
    symbols[left].next = symbols[right].next;
    symbols[right].id = -1;
    if (symbols[left].next != kNone) symbols[symbols[left].next].previous = left;
    offer(symbols[left].previous);
    offer(left);
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) scratch.ids.push_back(symbols[i].id);
}

}  // namespace sable::inference
