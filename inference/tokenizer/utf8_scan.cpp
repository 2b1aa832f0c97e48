#include "inference/tokenizer/utf8_scan.h"

#include <algorithm>
#include <cstring>

namespace sable::inference {

namespace {

struct LeadByte {
  size_t length;         // of the sequence; 0: cannot start one
  uint8_t second_first;  // range of the second byte, which excludes overlong forms and surrogates
  uint8_t second_last;
};

constexpr LeadByte lead_byte(uint8_t b) {
  if (b < 0x80) return {1, 0, 0};
  if (b >= 0xC2 && b <= 0xDF) return {2, 0x80, 0xBF};
  if (b == 0xE0) return {3, 0xA0, 0xBF};
  if (b == 0xED) return {3, 0x80, 0x9F};
  if (b >= 0xE1 && b <= 0xEF) return {3, 0x80, 0xBF};
  if (b == 0xF0) return {4, 0x90, 0xBF};
  if (b >= 0xF1 && b <= 0xF3) return {4, 0x80, 0xBF};
  if (b == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

/// How many of the first bytes agree with the sequence that the lead byte announces.
size_t agreeing(std::string_view bytes, const LeadByte& lead) {
  if (lead.length == 0) return 0;
  size_t n = 1;
  while (n < std::min(lead.length, bytes.size())) {
    const auto b = static_cast<uint8_t>(bytes[n]);
    const uint8_t first = n == 1 ? lead.second_first : 0x80;
    const uint8_t last = n == 1 ? lead.second_last : 0xBF;
    if (b < first || b > last) break;
    ++n;
  }
  return n;
}

}  // namespace

size_t utf8_length(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const LeadByte lead = lead_byte(static_cast<uint8_t>(bytes[0]));
  return agreeing(bytes, lead) == lead.length ? lead.length : 0;
}

bool utf8_could_continue(std::string_view bytes) {
  if (bytes.empty()) return false;
  const LeadByte lead = lead_byte(static_cast<uint8_t>(bytes[0]));
  return bytes.size() < lead.length && agreeing(bytes, lead) == bytes.size();
}

char32_t utf8_code_point(std::string_view sequence) {
  const auto at = [&](size_t i) {
    return static_cast<char32_t>(static_cast<uint8_t>(sequence[i]));
  };
  switch (sequence.size()) {
    case 1:
      return at(0);
    case 2:
      return (at(0) & 0x1F) << 6 | (at(1) & 0x3F);
    case 3:
      return (at(0) & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F);
    default:
      return (at(0) & 0x07) << 18 | (at(1) & 0x3F) << 12 | (at(2) & 0x3F) << 6 | (at(3) & 0x3F);
  }
}

std::string_view utf8_last(std::string_view text) {
  for (size_t n = 1; n <= std::min<size_t>(4, text.size()); ++n) {
    const std::string_view tail = text.substr(text.size() - n);
    if ((static_cast<uint8_t>(tail[0]) & 0xC0) == 0x80) continue;
    return utf8_length(tail) == n ? tail : std::string_view();
  }
  return {};
}

size_t utf8_valid_prefix(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    uint64_t eight;
    while (i + 8 <= bytes.size()) {  // most text is ASCII: eight bytes a step
      std::memcpy(&eight, bytes.data() + i, 8);
      if ((eight & 0x8080808080808080u) != 0) break;
      i += 8;
    }
    if (i == bytes.size()) break;
    const size_t n = utf8_length(bytes.substr(i));
    if (n == 0) break;
    i += n;
  }
  return i;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace sable::inference
