#include "inference/tokenizer/tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "inference/tokenizer/added_token_finder.h"
#include "inference/tokenizer/byte_pair_encoding.h"
#include "inference/tokenizer/pre_tokenizer.h"
#include "inference/tokenizer/tokenizer_json.h"
#include "inference/tokenizer/utf8_scan.h"

namespace sable::inference {

namespace {

constexpr size_t kAddedTokenBytesMax = 4096;
constexpr size_t kStepsMax = 64;

/// One call of encode(): its buffers and its output.
struct EncodeCall {
  PreTokenizer::Scratch pieces;
  BytePairEncoding::Scratch merging;
  std::vector<AddedTokenFinder::Found> found_first, found_second;
  std::vector<TokenId> ids;
};

}  // namespace

struct Tokenizer::State {
  TokenizerDefinition definition;
  BytePairEncoding encoding;  // views into definition.vocabulary
  PreTokenizer pre_tokenizer;
  AddedTokenFinder first, second;  // tokens that are not `normalized`; then those that are
  std::vector<bool> added, special;
  std::unordered_map<std::string_view, TokenId> added_ids;
  Digest fingerprint{};

  bool has(TokenId id) const {
    return id >= 0 && static_cast<size_t>(id) < definition.vocabulary.size() &&
           definition.vocabulary[static_cast<size_t>(id)].kind != VocabularyEntry::Kind::absent;
  }

  Result<void> add_tokens();
  Result<void> encode_text(std::string_view text, AddedTokens mode, EncodeCall& call) const;
  Result<void> encode_with_second(std::string_view text, EncodeCall& call) const;
};

Result<void> Tokenizer::State::add_tokens() {
  using Kind = VocabularyEntry::Kind;
  std::vector<VocabularyEntry>& vocabulary = definition.vocabulary;
  std::vector<AddedToken> not_normalized, normalized;
  added.assign(vocabulary.size(), false);
  special.assign(vocabulary.size(), false);
  for (const AddedToken& token : definition.added_tokens) {
    const auto context = fmt::format("added token {}", token.id);
    if (token.id < 0 || static_cast<size_t>(token.id) >= kVocabularyMax) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: ids go from 0 to {}", context, kVocabularyMax - 1));
    }
    if (token.content.empty() || token.content.size() > kAddedTokenBytesMax) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: its content has {} bytes; 1 to {} are possible", context,
                              token.content.size(), kAddedTokenBytesMax));
    }
    const auto id = static_cast<size_t>(token.id);
    if (id >= vocabulary.size()) {
      vocabulary.resize(id + 1);
      added.resize(id + 1);
      special.resize(id + 1);
    }
    if (added[id]) return fail(ErrorCode::invalid_input, context + ": listed twice");
    if (!added_ids.emplace(token.content, token.id).second) {
      return fail(ErrorCode::invalid_input, context + ": another added token has the same content");
    }
    added[id] = true;
    special[id] = token.special;
    VocabularyEntry& entry = vocabulary[id];
    // Inside the base vocabulary only where it is the same text there: otherwise one id would stand
    // for two tokens.
    if (entry.kind == Kind::absent) {
      entry = {Kind::literal, token.content};
    } else if (entry.bytes != token.content) {
      return fail(ErrorCode::invalid_input,
                  context + ": the vocabulary has another token at that id");
    } else if (entry.kind == Kind::pieces && entry.bytes.size() == 1) {
      return fail(
          ErrorCode::unsupported,
          fmt::format("{}: it is the only token of a byte, and text could not be told from it",
                      context));
    }
    (token.normalized ? normalized : not_normalized).push_back(token);
  }
  SABLE_TRY(first, AddedTokenFinder::create(std::move(not_normalized)));
  SABLE_TRY(second, AddedTokenFinder::create(std::move(normalized)));
  return {};
}

Result<Tokenizer> Tokenizer::create(TokenizerDefinition definition) {
  if (definition.vocabulary.size() > kVocabularyMax) {
    return fail(ErrorCode::exhausted,
                fmt::format("the vocabulary has {} tokens, more than the limit of {}",
                            definition.vocabulary.size(), kVocabularyMax));
  }
  if (definition.steps.size() > kStepsMax) {
    return fail(ErrorCode::exhausted,
                fmt::format("the pre-tokenizer has {} steps, more than the limit of {}",
                            definition.steps.size(), kStepsMax));
  }
  auto state = std::make_shared<State>();
  state->definition = std::move(definition);
  SABLE_TRY_VOID(state->add_tokens());
  const TokenizerDefinition& final_definition = state->definition;
  for (const auto& [name, id] :
       {std::pair("begin", final_definition.bos), {"end", final_definition.eos}}) {
    if (id && !state->has(*id)) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("the {} token's id {} is not in the vocabulary", name, *id));
    }
  }
  SABLE_TRY(state->encoding,
            BytePairEncoding::create(final_definition.vocabulary, final_definition.merges,
                                     final_definition.ignore_merges));
  SABLE_TRY(state->pre_tokenizer, PreTokenizer::create(final_definition.steps));
  state->fingerprint = fingerprint_of(final_definition);
  return Tokenizer(std::move(state));
}

Result<Tokenizer> Tokenizer::from_json(std::string_view text, std::optional<TokenId> bos,
                                       std::optional<TokenId> eos) {
  SABLE_TRY(auto definition, definition_from_tokenizer_json(text));
  definition.bos = bos;
  definition.eos = eos;
  return create(std::move(definition));
}

/// Text without added tokens: the well-formed stretches through the pre-tokenizer, the others as
/// pieces.
Result<void> Tokenizer::State::encode_text(std::string_view text, AddedTokens mode,
                                           EncodeCall& call) const {
  const auto encode_piece = [&](std::string_view piece) {
    if (mode == AddedTokens::recognise) {
      encoding.encode(piece, call.merging, call.ids, [](TokenId) { return true; });
    } else {
      encoding.encode(piece, call.merging, call.ids,
                      [this](TokenId id) { return !added[static_cast<size_t>(id)]; });
    }
  };
  while (!text.empty()) {
    const size_t well_formed = utf8_valid_prefix(text);
    SABLE_TRY_VOID(pre_tokenizer.split(text.substr(0, well_formed), call.pieces, encode_piece));
    text.remove_prefix(well_formed);
    size_t ill_formed = 0;
    while (ill_formed < text.size() && utf8_length(text.substr(ill_formed)) == 0) ++ill_formed;
    if (ill_formed > 0) encode_piece(text.substr(0, ill_formed));
    text.remove_prefix(ill_formed);
  }
  return {};
}

Result<void> Tokenizer::State::encode_with_second(std::string_view text, EncodeCall& call) const {
  call.found_second.clear();
  second.find_all(text, call.found_second);
  size_t done = 0;
  for (const auto& found : call.found_second) {
    if (found.begin > done) {
      SABLE_TRY_VOID(
          encode_text(text.substr(done, found.begin - done), AddedTokens::recognise, call));
    }
    call.ids.push_back(found.id);
    done = found.end;
  }
  return encode_text(text.substr(done), AddedTokens::recognise, call);
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, AddedTokens mode) const {
  if (text.size() > kTextBytesMax) {
    return fail(ErrorCode::exhausted,
                fmt::format("a text of {} bytes is longer than {}", text.size(), kTextBytesMax));
  }
  EncodeCall call;
  call.ids.reserve(text.size() / 4 + 8);
  if (mode == AddedTokens::as_text) {
    SABLE_TRY_VOID(state_->encode_text(text, mode, call));
    return std::move(call.ids);
  }
  state_->first.find_all(text, call.found_first);
  size_t done = 0;
  for (const auto& found : call.found_first) {
    if (found.begin > done) {
      SABLE_TRY_VOID(state_->encode_with_second(text.substr(done, found.begin - done), call));
    }
    call.ids.push_back(found.id);
    done = found.end;
  }
  SABLE_TRY_VOID(state_->encode_with_second(text.substr(done), call));
  return std::move(call.ids);
}

Result<std::string> Tokenizer::decode(std::span<const TokenId> ids, SpecialTokens special) const {
  std::string bytes;
  bytes.reserve(ids.size() * 4);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!state_->has(ids[i])) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("no token has the id {} (place {} of {})", ids[i], i, ids.size()));
    }
    const auto id = static_cast<size_t>(ids[i]);
    if (special == SpecialTokens::skip && state_->special[id]) continue;
    bytes += state_->definition.vocabulary[id].bytes;
  }
  return bytes;
}

Result<std::string_view> Tokenizer::token_bytes(TokenId id) const {
  if (!state_->has(id))
    return fail(ErrorCode::invalid_input, fmt::format("no token has the id {}", id));
  return std::string_view(state_->definition.vocabulary[static_cast<size_t>(id)].bytes);
}

std::optional<TokenId> Tokenizer::id_of(std::string_view text) const {
  if (const auto it = state_->added_ids.find(text); it != state_->added_ids.end())
    return it->second;
  const TokenId id = state_->encoding.find(text);
  return id >= 0 ? std::optional(id) : std::nullopt;
}

size_t Tokenizer::vocab_size() const { return state_->definition.vocabulary.size(); }
bool Tokenizer::has(TokenId id) const { return state_->has(id); }
bool Tokenizer::is_added(TokenId id) const {
  return state_->has(id) && state_->added[static_cast<size_t>(id)];
}
bool Tokenizer::is_special(TokenId id) const {
  return state_->has(id) && state_->special[static_cast<size_t>(id)];
}
std::optional<TokenId> Tokenizer::bos() const { return state_->definition.bos; }
std::optional<TokenId> Tokenizer::eos() const { return state_->definition.eos; }
const Digest& Tokenizer::fingerprint() const { return state_->fingerprint; }

}  // namespace sable::inference
