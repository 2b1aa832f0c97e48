#include "base/checksum.h"

#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace sable;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

TEST_CASE("checksums are those of the xxhsum program") {
  // printf '' | xxhsum -H3; printf 'sable' | xxhsum -H3; the same with -H2 (128 bits).
  CHECK(short_checksum_of({}) == 0x2d06800538d394c2);
  CHECK(checksum_of({}) == Checksum{0x6001c324468d497f, 0x99aa06d3014798d8});
  CHECK(short_checksum_of(bytes_of("sable")) == 0xa6a51485e9f4a493);
  CHECK(checksum_of(bytes_of("sable")) == Checksum{0x037ae9aefcf37fdd, 0x0314cae0a3f1bf09});
}

TEST_CASE("every bit of the bytes, their length and the seed change a checksum") {
  std::vector<std::byte> bytes(1000, std::byte{7});
  const auto whole = checksum_of(bytes);
  CHECK_FALSE(checksum_of(bytes, 1) == whole);
  CHECK_FALSE(checksum_of(std::span(bytes).first(999)) == whole);
  for (size_t i = 0; i < 8 * bytes.size(); i += 13) {
    bytes[i / 8] ^= std::byte{1} << (i % 8);
    CHECK_FALSE(checksum_of(bytes) == whole);
    CHECK_FALSE(short_checksum_of(bytes) == short_checksum_of(std::span(bytes).first(999)));
    bytes[i / 8] ^= std::byte{1} << (i % 8);
  }
}
