// The tokenizer that a GGUF file's metadata describes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/tokenizer/tokenizer.h"

namespace sable::inference {

/// The values of the keys tokenizer.ggml.*, by the ends of their names.
struct GgufVocabulary {
  std::string model;                ///< only "gpt2", byte-level BPE, is supported
  std::string pre;                  ///< names the pre-tokenizer
  std::vector<std::string> tokens;  ///< by id, in the byte alphabet except for types 3, 4 and 5
  std::vector<int32_t> token_type;  ///< by id; empty: all 1
  std::vector<std::string> merges;  ///< "LEFT RIGHT", best first
  std::optional<uint32_t> bos_token_id, eos_token_id;
};

/// Which pre-tokenizer a name means; the table's source is llama.cpp (src/llama-vocab.cpp) and, for
/// each name, the tokenizer.json of the model it was made for.
struct GgufPreTokenizer {
  std::string_view name;
  std::vector<std::string> expressions;  ///< Oniguruma's dialect; each isolates its matches
  bool ignore_merges = false;
};

/// Every name that tokenizer_from_gguf() knows.
const std::vector<GgufPreTokenizer>& gguf_pre_tokenizers();

/// Token types 3 (control: special) and 4 (user defined) become added tokens, matched longest
/// first; 2 (unknown) and 5 (unused) decode to their text and are never produced. Errors name the
/// key and the index; an unknown `pre` is `unsupported` and lists nothing silently in its place.
Result<Tokenizer> tokenizer_from_gguf(const GgufVocabulary& vocabulary);

}  // namespace sable::inference
