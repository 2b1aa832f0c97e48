// Text to token ids and back.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "inference/tokenizer/token.h"
#include "inference/tokenizer/tokenizer_definition.h"

namespace sable::inference {

/// Whether added tokens written out in a text count as tokens.
enum class AddedTokens {
  recognise,  ///< for text that we wrote ourselves, such as a rendered prompt
  as_text,    ///< for text from anyone else: it cannot forge a token, whatever it says
};

/// Whether special tokens appear in decoded text.
enum class SpecialTokens { keep, skip };

/// A byte-level BPE tokenizer. Immutable: copies share one state, and any number of threads may use
/// it at once.
///
/// Ids agree with huggingface/tokenizers for the same tokenizer.json (without its post-processor:
/// nothing is added in front or behind; a prompt writes its own begin token). Text need not be
/// UTF-8: each run of ill-formed bytes becomes a piece of its own, and what stands on either side
/// is cut as if it were a text of its own. Unless the file asks for something that loses text (a
/// Split that removes, a prefix space, added tokens that swallow white space),
/// decode(encode(bytes)) gives back any bytes.
class Tokenizer {
 public:
  /// Longest text for one encode().
  static constexpr size_t kTextBytesMax = size_t{1} << 29;

  /// Reads a tokenizer.json. Refused with the JSON path: what is malformed, and (as `unsupported`)
  /// every kind of model, normaliser, pre-tokenizer or decoder that would not be followed to the
  /// letter. `bos` and `eos` are in other files (config.json) and may be given.
  static Result<Tokenizer> from_json(std::string_view text, std::optional<TokenId> bos = {},
                                     std::optional<TokenId> eos = {});

  /// Checks the definition (ids, merges, patterns, a token for each byte) and makes it usable.
  static Result<Tokenizer> create(TokenizerDefinition definition);

  /// Takes time n log n and, for the longest stretch that the pre-tokenizer leaves whole, some 25
  /// bytes of memory for each of its bytes. Fails with `exhausted` for a text longer than
  /// kTextBytesMax or one on which a pattern of the file backtracks without bound.
  Result<std::vector<TokenId>> encode(std::string_view text, AddedTokens added) const;

  /// The bytes of the tokens put together; not always UTF-8 (a token may hold half a character). An
  /// id without a token is an error (invalid_input) that names its place.
  Result<std::string> decode(std::span<const TokenId> ids,
                             SpecialTokens special = SpecialTokens::keep) const;

  /// What one token stands for. Valid as long as this tokenizer or a copy lives.
  Result<std::string_view> token_bytes(TokenId id) const;

  /// The added token written so, else the ordinary token with these bytes.
  std::optional<TokenId> id_of(std::string_view text) const;

  /// One more than the highest id.
  size_t vocab_size() const;
  bool has(TokenId id) const;
  bool is_added(TokenId id) const;
  bool is_special(TokenId id) const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;

  /// SHA-256 over everything that can change an id or a byte: equal fingerprints, equal tokenizers.
  const Digest& fingerprint() const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace sable::inference
