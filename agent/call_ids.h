// Which ids the calls of a session have had, so that none is given twice.
#pragma once

#include <cstring>
#include <string_view>
#include <unordered_set>

#include "base/digest.h"

namespace sable::agent {

/// Keeps eight bytes of a hash instead of the id: a long session has very many of them.
class CallIds {
 public:
  void insert(std::string_view id) { hashes_.insert(hash_of(id)); }

  /// Always true for an id that was inserted. For another one it is true once in 2^64 times, which
  /// costs that call the name that its endpoint gave it, and nothing else.
  bool contains(std::string_view id) const { return hashes_.contains(hash_of(id)); }

 private:
  static uint64_t hash_of(std::string_view id) {
    const Digest digest = sha256(id);
    uint64_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }

  std::unordered_set<uint64_t> hashes_;
};

}  // namespace sable::agent
