#include "agent/prompt/encode_prompt.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/prompt/markers.h"

namespace sable::agent {

namespace {

using inference::AddedTokens;
using inference::TokenId;
using inference::Tokenizer;

class Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  Result<EncodedPrompt> run(const Prompt& prompt) {
    for (const auto& piece : prompt) {
      // A reply starts and ends at tokens of structure; where it does not, the text goes on.
      if (run_.empty()) by_model_ = piece.by_model;
      if (piece.kind == PromptPiece::Kind::text) {
        run_ += piece.text;
      } else if (piece.kind == PromptPiece::Kind::markup) {
        SABLE_TRY_VOID(markup(piece));
      } else {
        SABLE_TRY_VOID(tokens(piece));
      }
    }
    SABLE_TRY_VOID(flush());
    return std::move(encoded_);
  }

 private:
  /// Takes the added tokens out of our own text; the rest joins the running text.
  Result<void> markup(const PromptPiece& piece) {
    SABLE_TRY(const auto ids, tokenizer_.encode(piece.text, AddedTokens::recognise));
    for (const TokenId id : ids) {
      if (tokenizer_.is_added(id)) {
        SABLE_TRY_VOID(flush());
        add(id, piece.by_model);
        by_model_ = piece.by_model;
      } else {
        SABLE_TRY(const auto bytes, tokenizer_.token_bytes(id));
        run_ += bytes;
      }
    }
    return {};
  }

  Result<void> tokens(const PromptPiece& piece) {
    SABLE_TRY_VOID(flush());
    auto first = piece.tokens.begin();
    if (piece.behind_thought) {
      const auto end = tokenizer_.id_of(markers::kThinkEnd);
      const auto found = std::find(first, piece.tokens.end(), end.value_or(-1));
      if (found != piece.tokens.end()) first = found + 1;
    }
    for (; first != piece.tokens.end(); ++first) {
      if (!tokenizer_.has(*first)) {
        return fail(
            ErrorCode::invalid_input,
            fmt::format("a recorded reply has the token {}, which the tokenizer lacks", *first));
      }
      add(*first, piece.by_model);
    }
    return {};
  }

  Result<void> flush() {
    if (run_.empty()) return {};
    SABLE_TRY(const auto ids, tokenizer_.encode(run_, AddedTokens::as_text));
    for (const TokenId id : ids) add(id, by_model_);
    run_.clear();
    return {};
  }

  void add(TokenId id, bool by_model) {
    encoded_.ids.push_back(id);
    encoded_.by_model.push_back(by_model);
  }

  const Tokenizer& tokenizer_;
  EncodedPrompt encoded_;
  std::string run_;        // text since the last token of structure
  bool by_model_ = false;  // who wrote its beginning
};

}  // namespace

Result<PromptTokens> prompt_tokens(const Tokenizer& tokenizer) {
  PromptTokens tokens{};
  const std::pair<std::string_view, TokenId*> wanted[] = {
      {markers::kBegin, &tokens.begin},
      {markers::kEnd, &tokens.end},
      {markers::kUser, &tokens.user},
      {markers::kAssistant, &tokens.assistant},
      {markers::kThinkBegin, &tokens.think_begin},
      {markers::kThinkEnd, &tokens.think_end},
      {markers::kDsml, &tokens.dsml}};
  for (const auto& [text, id] : wanted) {
    const auto found = tokenizer.id_of(text);
    if (!found || !tokenizer.is_added(*found)) {
      return fail(ErrorCode::unsupported,
                  fmt::format("the model's tokenizer has no token {}, which DeepSeek-V4's prompt "
                              "format needs",
                              text));
    }
    *id = *found;
  }
  return tokens;
}

Result<EncodedPrompt> encode_prompt(const Prompt& prompt, const Tokenizer& tokenizer) {
  return Encoder(tokenizer).run(prompt);
}

}  // namespace sable::agent
