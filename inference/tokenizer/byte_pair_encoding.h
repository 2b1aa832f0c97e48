// Byte-pair encoding of one piece of text, exactly and in n log n.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "inference/tokenizer/tokenizer_definition.h"

namespace sable::inference {

/// Starts from one token for each byte and, as long as any neighbours have a merge, applies the
/// merge of the lowest rank, the leftmost of equals. (Sennrich et al., arXiv 1508.07909; order of
/// merges as in huggingface/tokenizers.) Immutable and thread-safe; holds views into the vocabulary
/// that it was created from, which must outlive it.
class BytePairEncoding {
 public:
  /// The buffers of one call after another; one for each thread.
  struct Scratch {
    struct Symbol {
      TokenId id;
      uint32_t previous, next;  // neighbours that are left; kNone at the ends
    };
    std::vector<Symbol> symbols;
    std::vector<uint64_t> heap;  // rank << 32 | position of the left symbol
    std::vector<uint32_t> ranks;
    std::vector<TokenId> ids;
  };

  /// Ids in the merges must be ids of the vocabulary. Fails when a byte has no token of its own
  /// (such a tokenizer could not encode every text) or when a merge's result is not its parts put
  /// together.
  static Result<BytePairEncoding> create(std::span<const VocabularyEntry> vocabulary,
                                         std::span<const Merge> merges, bool ignore_merges);

  /// Appends the ids of a piece. Any bytes; an empty piece gives nothing.
  ///
  /// `allowed(id)`: whether a token may be used. A token that may not is taken apart again into the
  /// parts of its merge, down to tokens that may; single bytes are always used.
  template <class Allowed>
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out,
              Allowed&& allowed) const {
    const TokenId whole = whole_piece(piece);
    if (whole >= 0 && allowed(whole)) {
      out.push_back(whole);
      return;
    }
    scratch.ids.clear();
    merge_all(piece, scratch);
    for (const TokenId id : scratch.ids) append_allowed(id, out, allowed);
  }

  /// The token of these bytes, or -1.
  TokenId find(std::string_view bytes) const;

  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }

 private:
  struct MergeSlot {
    uint64_t pair = kEmpty;  // left << 32 | right
    uint32_t rank = 0;
    TokenId result = 0;
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static constexpr uint32_t kNone = UINT32_MAX;

  /// The token that encoding the whole piece gives, if it is a single one and that is known; else
  /// -1.
  TokenId whole_piece(std::string_view piece) const;

  const MergeSlot* find_merge(TokenId left, TokenId right) const;
  void add_merge(const Merge& merge, uint32_t rank);
  void merge_all(std::string_view piece, Scratch& scratch) const;
  void merge_short(std::string_view piece, Scratch& scratch) const;
  void merge_long(std::string_view piece, Scratch& scratch) const;

  template <class Allowed>
  void append_allowed(TokenId id, std::vector<TokenId>& out, Allowed&& allowed) const {
    const auto [left, right] = parts_[static_cast<size_t>(id)];
    if (left < 0 || allowed(id)) {
      out.push_back(id);
      return;
    }
    // Parts are shorter than what they form, so this ends; create() bounds the depth.
    append_allowed(left, out, allowed);
    append_allowed(right, out, allowed);
  }

  std::span<const VocabularyEntry> vocabulary_;
  std::array<TokenId, 256> byte_tokens_{};
  std::vector<MergeSlot> merges_;                   // open addressing, a power of two
  std::vector<TokenId> by_bytes_;                   // open addressing over tokens, -1 empty
  std::vector<std::pair<TokenId, TokenId>> parts_;  // by id; -1 when no merge forms the token
  std::vector<bool> encodes_to_itself_;             // by id
};

}  // namespace sable::inference
