#include "agent/dsml/symbols.h"

#include <algorithm>

#include "agent/prompt/markers.h"

namespace sable::agent {

namespace {

/// Markers that an added token may contain.
constexpr std::pair<std::string_view, Symbol> kMarkers[] = {{markers::kDsml, kDsmlSymbol},
                                                            {markers::kThinkEnd, kThinkEndSymbol},
                                                            {markers::kEnd, kEndSymbol}};

void append_text(std::string_view text, std::vector<Symbol>& out) {
  for (const char c : text) out.push_back(static_cast<uint8_t>(c));
}

/// An added token: text with markers in it, or a token of a kind that we have no use for.
void append_added(std::string_view content, std::vector<Symbol>& out) {
  const size_t before = out.size();
  while (!content.empty()) {
    size_t at = content.size();
    std::pair<std::string_view, Symbol> found{};
    for (const auto& marker : kMarkers) {
      const size_t place = content.find(marker.first);
      if (place < at) {
        at = place;
        found = marker;
      }
    }
    const auto text = content.substr(0, at);
    if (text.find("｜") != std::string_view::npos || text == markers::kThinkBegin) {
      out.resize(before);
      out.push_back(kOtherSymbol);
      return;
    }
    append_text(text, out);
    if (found.first.empty()) return;
    out.push_back(found.second);
    content.remove_prefix(at + found.first.size());
  }
}

}  // namespace

TokenSymbols::TokenSymbols(const inference::Tokenizer& tokenizer) {
  auto state = std::make_shared<State>();
  const size_t n = tokenizer.vocab_size();
  state->begin.reserve(n + 1);
  for (size_t i = 0; i < n; ++i) {
    const auto id = static_cast<inference::TokenId>(i);
    state->begin.push_back(static_cast<uint32_t>(state->symbols.size()));
    const auto bytes = tokenizer.token_bytes(id);
    if (bytes && tokenizer.is_special(id) && *bytes != markers::kEnd) {
      state->symbols.push_back(kOtherSymbol);
    } else if (bytes && tokenizer.is_added(id)) {
      append_added(*bytes, state->symbols);
    } else if (bytes) {
      append_text(*bytes, state->symbols);
    }
    const auto first = state->symbols.begin() + state->begin.back();
    state->is_text.push_back(
        first != state->symbols.end() &&
        std::all_of(first, state->symbols.end(), [](Symbol s) { return s < kDsmlSymbol; }));
  }
  state->begin.push_back(static_cast<uint32_t>(state->symbols.size()));
  state_ = std::move(state);
}

std::span<const Symbol> TokenSymbols::of(inference::TokenId id) const {
  const auto i = static_cast<size_t>(id);
  if (id < 0 || i >= n_ids()) return {};
  return std::span(state_->symbols)
      .subspan(state_->begin[i], state_->begin[i + 1] - state_->begin[i]);
}

bool TokenSymbols::is_text(inference::TokenId id) const {
  const auto i = static_cast<size_t>(id);
  return id >= 0 && i < n_ids() && state_->is_text[i];
}

}  // namespace sable::agent
