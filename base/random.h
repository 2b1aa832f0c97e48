// Random numbers that are the same on every machine: splitmix64 and what is drawn from it.
// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators".
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <string_view>
#include <utility>

namespace sable {

/// Two numbers into one that looks random.
inline uint64_t mix(uint64_t a, uint64_t b = 0) {
  uint64_t z = a + 0x9E3779B97F4A7C15U * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

/// FNV-1a.
inline uint64_t hash_of(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325U;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return h;
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix(seed)) {}

  uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15U); }
  size_t below(size_t n) { return static_cast<size_t>(next() % n); }
  /// From `low` to `high`, both possible.
  size_t between(size_t low, size_t high) { return low + below(high - low + 1); }
  bool chance(double p) { return unit() < p; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  float normal() {
    const double u = 1.0 - unit(), v = unit();
    return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v));
  }
  template <class List>
  const auto& pick(const List& list) {
    return list[below(std::size(list))];
  }
  template <class T>
  void shuffle(std::span<T> list) {
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace sable
