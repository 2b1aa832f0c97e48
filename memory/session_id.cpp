#include "memory/session_id.h"

#include <algorithm>
#include <random>

namespace sable::memory {

namespace {

constexpr char kAlphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";  // no i, l, o, u
constexpr int kTimeCharacters = 7;                                // 35 bits: a thousand years
constexpr int kRandomCharacters = 3;
constexpr size_t kIdBytesMax = 64;

}  // namespace

std::string make_session_id(WallTime now) {
  using namespace std::chrono;
  const auto since = now - WallTime(sys_days(2024y / January / 1d));
  const auto seconds_since = std::max<int64_t>(0, duration_cast<seconds>(since).count());
  std::random_device random;
  const uint64_t bits = static_cast<uint64_t>(seconds_since) << (5 * kRandomCharacters) |
                        (random() & ((1u << (5 * kRandomCharacters)) - 1));
  std::string id = "s_";
  for (int i = kTimeCharacters + kRandomCharacters - 1; i >= 0; --i) {
    id.push_back(kAlphabet[(bits >> (5 * i)) & 31]);
  }
  return id;
}

bool may_be_session_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace sable::memory
