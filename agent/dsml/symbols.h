// What tokens mean to the reply format: bytes of text, and the few tokens that are structure.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inference/inference.h"

namespace sable::agent {

/// A byte 0..255, or one of the following.
using Symbol = uint16_t;
inline constexpr Symbol kDsmlSymbol = 256;      ///< ｜DSML｜
inline constexpr Symbol kThinkEndSymbol = 257;  ///< </think>
inline constexpr Symbol kEndSymbol = 258;       ///< the end token
inline constexpr Symbol kOtherSymbol = 259;     ///< a token that has no place in a reply
inline constexpr size_t kSymbols = 260;

/// The symbols of every token. An added token may stand for several: "</｜DSML｜parameter>" written
/// as one token is bytes, a marker and bytes again. Immutable; copies share one state.
class TokenSymbols {
 public:
  explicit TokenSymbols(const inference::Tokenizer& tokenizer);

  /// Empty for an id without a token. Valid as long as this object or a copy lives.
  std::span<const Symbol> of(inference::TokenId id) const;
  size_t n_ids() const { return state_->begin.size() - 1; }
  /// Whether the token is bytes only.
  bool is_text(inference::TokenId id) const;

 private:
  struct State {
    std::vector<Symbol> symbols;
    std::vector<uint32_t> begin;  // by id, and the end
    std::vector<bool> is_text;
  };
  std::shared_ptr<const State> state_;
};

}  // namespace sable::agent
