#include "inference/tokenizer/gguf_vocabulary.h"

#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "inference/tokenizer/byte_alphabet.h"
#include "inference/tokenizer/pre_tokenizer_json.h"

namespace sable::inference {

namespace {

// Token types as ggml numbers them (ggml-org/llama.cpp, include/llama.h, llama_token_type).
constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

std::string shown(std::string_view text) {
  return escape_controls(text.substr(0, utf8_prefix(text, 60)));
}

std::vector<GgufPreTokenizer> make_table() {
  // deepseek-ai/DeepSeek-V3, tokenizer.json; DeepSeek-V4 files say joyai-llm.
  const std::vector<std::string> deepseek_v3 = {
      R"(\p{N}{1,3})",
      R"([一-龥぀-ゟ゠-ヿ]+)",
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
      R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
  };
  // deepseek-ai/deepseek-llm-7b-base, tokenizer.json: the cased letters of Unicode, then
  // punctuation of ASCII, full width, and CJK; Han with Hangul and what lies between.
  const std::vector<std::string> deepseek_llm = {
      R"([\r\n])",
      R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
      R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
      R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
      R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
      R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
      R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
      R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
      R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
      R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
      R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
      R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
      R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
      R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E})"
      R"(\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
      R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
      R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)",
      R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)",
      R"(\s+$)",
      R"([一-龥ࠀ-一가-퟿]+)",
      R"(\p{N}+)",
  };
  // openai/gpt-2, src/encoder.py.
  const std::vector<std::string> gpt_2 = {
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"};
  // meta-llama/Meta-Llama-3-8B, tokenizer.json.
  const std::vector<std::string> llama_3 = {
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
      R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
  // Qwen/Qwen2-7B, tokenizer.json. That file also asks for NFC, which GGUF readers leave out.
  const std::vector<std::string> qwen_2 = {
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
      R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
  return {
      {"joyai-llm", deepseek_v3, false},     {"deepseek-v3", deepseek_v3, false},
      {"deepseek-llm", deepseek_llm, false}, {"gpt-2", gpt_2, false},
      {"llama-bpe", llama_3, true},          {"llama3", llama_3, true},
      {"llama-v3", llama_3, true},           {"qwen2", qwen_2, false},
      {"deepseek-r1-qwen", qwen_2, false},
  };
}

const GgufPreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const GgufPreTokenizer& known : gguf_pre_tokenizers()) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

tl::unexpected<Error> wrong(std::string_view key, std::string_view what) {
  return fail(ErrorCode::invalid_input, fmt::format("tokenizer.ggml.{}: {}", key, what));
}

Result<void> read_tokens(const GgufVocabulary& from, TokenizerDefinition& to) {
  if (from.tokens.empty() || from.tokens.size() > kVocabularyMax) {
    return wrong("tokens", fmt::format("{} tokens; 1 to {} are possible", from.tokens.size(),
                                       kVocabularyMax));
  }
  if (!from.token_type.empty() && from.token_type.size() != from.tokens.size()) {
    return wrong("token_type",
                 fmt::format("{} types for {} tokens", from.token_type.size(), from.tokens.size()));
  }
  to.vocabulary.resize(from.tokens.size());
  for (size_t id = 0; id < from.tokens.size(); ++id) {
    const std::string& text = from.tokens[id];
    const int32_t type = from.token_type.empty() ? kNormal : from.token_type[id];
    if (text.empty()) return wrong(fmt::format("tokens[{}]", id), "a token without text");
    VocabularyEntry& entry = to.vocabulary[id];
    entry = {VocabularyEntry::Kind::literal, text};
    switch (type) {
      case kNormal:
        if (auto bytes = from_byte_alphabet(text)) {
          entry = {VocabularyEntry::Kind::pieces, std::move(*bytes)};
        }
        break;
      case kControl:
      case kUserDefined:
        to.added_tokens.push_back(
            {.id = static_cast<TokenId>(id), .content = text, .special = type == kControl});
        break;
      case kUnknown:
      case kUnused:
        break;
      case kByte:
        return fail(
            ErrorCode::unsupported,
            fmt::format("tokenizer.ggml.token_type[{}]: byte tokens belong to other models", id));
      default:
        return wrong(fmt::format("token_type[{}]", id), fmt::format("{} is no token type", type));
    }
  }
  return {};
}

Result<void> read_merges(const GgufVocabulary& from, TokenizerDefinition& to) {
  std::unordered_map<std::string_view, TokenId> ids;
  ids.reserve(from.tokens.size());
  for (size_t id = 0; id < from.tokens.size(); ++id) {
    if (to.vocabulary[id].kind == VocabularyEntry::Kind::pieces) {
      ids.emplace(from.tokens[id], static_cast<TokenId>(id));
    }
  }
  to.merges.reserve(from.merges.size());
  for (size_t i = 0; i < from.merges.size(); ++i) {
    const std::string_view text = from.merges[i];
    const size_t space = text.find(' ');
    const auto key = [&] { return fmt::format("merges[{}]", i); };
    if (space == text.npos) return wrong(key(), "expected two tokens with one space between them");
    const std::string left(text.substr(0, space)), right(text.substr(space + 1));
    Merge merge;
    for (const auto& [part, id] :
         {std::pair(left, &merge.left), {right, &merge.right}, {left + right, &merge.result}}) {
      const auto it = ids.find(part);
      if (it == ids.end()) return wrong(key(), fmt::format("\"{}\" is no token", shown(part)));
      *id = it->second;
    }
    to.merges.push_back(merge);
  }
  return {};
}

}  // namespace

const std::vector<GgufPreTokenizer>& gguf_pre_tokenizers() {
  static const std::vector<GgufPreTokenizer> table = make_table();
  return table;
}

Result<Tokenizer> tokenizer_from_gguf(const GgufVocabulary& vocabulary) {
  if (vocabulary.model != "gpt2") {
    return fail(ErrorCode::unsupported,
                fmt::format("tokenizer.ggml.model: only \"gpt2\" is supported, found \"{}\"",
                            shown(vocabulary.model)));
  }
  const GgufPreTokenizer* pre = find_pre_tokenizer(vocabulary.pre);
  if (pre == nullptr) {
    return fail(ErrorCode::unsupported,
                fmt::format("tokenizer.ggml.pre: the pre-tokenizer \"{}\" is not "
                            "known",
                            shown(vocabulary.pre)));
  }
  TokenizerDefinition definition;
  definition.ignore_merges = pre->ignore_merges;
  SABLE_TRY(definition.steps,
            steps_from_expressions(pre->expressions,
                                   fmt::format("tokenizer.ggml.pre \"{}\"", pre->name)));
  SABLE_TRY_VOID(read_tokens(vocabulary, definition));
  SABLE_TRY_VOID(read_merges(vocabulary, definition));
  for (const auto& [from, to, key] :
       {std::tuple(vocabulary.bos_token_id, &definition.bos, "bos_token_id"),
        {vocabulary.eos_token_id, &definition.eos, "eos_token_id"}}) {
    if (!from) continue;
    if (*from >= vocabulary.tokens.size()) return wrong(key, fmt::format("{} is no token", *from));
    *to = static_cast<TokenId>(*from);
  }
  return Tokenizer::create(std::move(definition));
}

}  // namespace sable::inference
