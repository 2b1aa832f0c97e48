#include "inference/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "inference/tokenizer/utf8_scan.h"

namespace sable::inference {

namespace {

constexpr bool stands_for_itself(unsigned b) {
  return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
}

constexpr size_t kAlphabetEnd = 0x144;  // past the last character: 0x100 + 68

struct Alphabet {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, kAlphabetEnd> byte{};  // -1: not in the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  for (auto& b : a.byte) b = -1;
  uint16_t next = 0x100;
  for (unsigned b = 0; b < 256; ++b) {
    a.character[b] = stands_for_itself(b) ? static_cast<uint16_t>(b) : next++;
    a.byte[a.character[b]] = static_cast<int16_t>(b);
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const unsigned c = kAlphabet.character[static_cast<uint8_t>(byte)];
    if (c < 0x80) {
      text.push_back(static_cast<char>(c));
    } else {
      text.push_back(static_cast<char>(0xC0 | c >> 6));
      text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    }
  }
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  while (!text.empty()) {
    const size_t n = utf8_length(text);
    if (n == 0) return std::nullopt;
    const char32_t c = utf8_code_point(text.substr(0, n));
    if (c >= kAlphabetEnd || kAlphabet.byte[c] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[c]));
    text.remove_prefix(n);
  }
  return bytes;
}

}  // namespace sable::inference
