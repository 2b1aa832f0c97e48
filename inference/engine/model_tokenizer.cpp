#include "inference/engine/model_tokenizer.h"

#include <string>

#include "inference/tokenizer/gguf_vocabulary.h"

namespace sable::inference {

namespace {

Result<Tokenizer> read_tokenizer(const Checkpoint& checkpoint) {
  const auto bos = static_cast<TokenId>(checkpoint.config().bos_token_id);
  const auto eos = static_cast<TokenId>(checkpoint.config().eos_token_id);
  const Result<std::string> text = checkpoint.tokenizer_json();
  if (text) return Tokenizer::from_json(*text, bos, eos);
  const TokenizerArrays* const arrays = checkpoint.tokenizer_arrays();
  if (text.error().code != ErrorCode::not_found || arrays == nullptr) return fail(text.error());
  return tokenizer_from_gguf({.model = arrays->model,
                              .pre = arrays->pre,
                              .tokens = arrays->tokens,
                              .token_type = arrays->types,
                              .merges = arrays->merges,
                              .bos_token_id = static_cast<uint32_t>(bos),
                              .eos_token_id = static_cast<uint32_t>(eos)});
}

}  // namespace

Result<Tokenizer> tokenizer_of(const Checkpoint& checkpoint) {
  const ModelConfig& c = checkpoint.config();
  SABLE_TRY(Tokenizer tokenizer, read_tokenizer(checkpoint));
  if (tokenizer.vocab_size() > static_cast<size_t>(c.vocab_size)) {
    return fail(ErrorCode::invalid_input,
                "the tokenizer has ids up to " + std::to_string(tokenizer.vocab_size() - 1) +
                    ", the model's vocabulary ends at " + std::to_string(c.vocab_size - 1));
  }
  return tokenizer;
}

}  // namespace sable::inference
