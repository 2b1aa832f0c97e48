// The seam between an agent and whatever decodes for it: token ids in, token ids out.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/result.h"
#include "inference/inference.h"

namespace sable::agent {

struct TokenRequest {
  std::string session;                     ///< whose state is kept on disk; empty: nobody's
  std::vector<inference::TokenId> prompt;  ///< whole, from the begin token on
  inference::TokenId end = 1;              ///< the token that ends a reply
  uint64_t n_tokens_max = 0;
  inference::SamplingParameters sampling;
  std::unique_ptr<inference::TokenMask>
      mask;  ///< at the end of the prompt; null: every token may come
};

struct TokenReply {
  enum class End { end_token, length, context };
  std::vector<inference::TokenId> tokens;  ///< without the end token
  End end = End::end_token;
  uint64_t n_cached = 0;  ///< tokens of the prompt that were there already
};

using TokenSink = std::function<void(std::span<const inference::TokenId>)>;

/// One token stream, kept between requests: what a prompt shares with the stream so far is not
/// computed again. Belongs to one session. Destroying it gives its memory back.
class TokenSequence {
 public:
  virtual ~TokenSequence() = default;

  /// Goes on from the prompt. The sink is called on the caller's executor, in order; the reply has
  /// all tokens again. Which tokens come depends on prompt, mask, sampling and model only: the
  /// random numbers are a function of the seed and the position. Cancelling the coroutine stops the
  /// work soon; the next request may come at once. Errors: exhausted (prompt longer than the
  /// context, no cache memory), invalid_input (bad sampling, unknown token), cancelled.
  virtual asio::awaitable<Result<TokenReply>> generate(TokenRequest request,
                                                       TokenSink on_tokens) = 0;

  /// The turn is over: the state is worth keeping until the session goes on, also in another
  /// process. It is kept in the background, if at all.
  virtual void rest() {}
};

/// A model that decodes for many sequences at once. Outlives them.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  virtual const inference::Tokenizer& tokenizer() const = 0;
  /// Equal only where the same request gives the same tokens; in hexadecimal.
  virtual const std::string& fingerprint() const = 0;
  virtual uint64_t context_max() const = 0;  ///< tokens of prompt and reply together
  virtual std::unique_ptr<TokenSequence> start() = 0;
};

}  // namespace sable::agent
