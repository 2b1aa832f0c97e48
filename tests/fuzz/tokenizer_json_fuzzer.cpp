// Any bytes as a tokenizer.json: refused, or a tokenizer that keeps its promises on a fixed text.
//
// A vocabulary without a token for each byte is refused, which random input would never get past,
// so the input may also be a patch: an object whose members replace those of a small valid file.
// Seeds: tests/golden/tokenizer/small.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "inference/tokenizer/byte_alphabet.h"
#include "inference/tokenizer/tokenizer.h"

namespace {

using namespace sable;
using namespace sable::inference;

Json valid_file() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte)
    vocab[to_byte_alphabet(std::string(1, static_cast<char>(byte)))] = byte;
  vocab["ab"] = 256;
  vocab["abc"] = 257;
  return {{"added_tokens", {{{"id", 258}, {"content", "<x>"}, {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b", "ab c"}}}}};
}

void try_file(const std::string& text) {
  const auto tokenizer = Tokenizer::from_json(text);
  if (!tokenizer) {
    SABLE_CHECK(!tokenizer.error().message.empty());
    return;
  }
  constexpr std::string_view kText =
      "abcab <x>\r\n 123 \xFF \u00e9\u4f60\u597d aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  for (const auto mode : {AddedTokens::recognise, AddedTokens::as_text}) {
    const auto ids = tokenizer->encode(kText, mode);
    if (!ids) continue;
    SABLE_CHECK(tokenizer->decode(*ids).has_value());
    for (const TokenId id : *ids)
      SABLE_CHECK(mode == AddedTokens::recognise || !tokenizer->is_added(id));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Json valid = valid_file();
  const std::string text(reinterpret_cast<const char*>(data), size);
  try_file(text);
  if (const auto patch = parse_json(text); patch && patch->is_object()) {
    Json patched = valid;
    patched.merge_patch(*patch);
    try_file(dump_json(patched));
  }
  return 0;
}
