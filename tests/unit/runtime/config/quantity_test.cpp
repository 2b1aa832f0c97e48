#include "runtime/config/quantity.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;
using namespace sable::runtime::config;
using namespace std::chrono_literals;

TEST_CASE("sizes are bytes, K, M or G") {
  CHECK(parse_size("0") == 0u);
  CHECK(parse_size("65536") == 65536u);
  CHECK(parse_size("1K") == 1024u);
  CHECK(parse_size("512M") == 536870912u);
  CHECK(parse_size("4G") == 4294967296u);
  for (const auto* wrong : {"", "M", "-1", "+1", "1.5G", "1 G", "1k", "1KB", "1T", " 1", "0x10"}) {
    INFO(wrong);
    CHECK_FALSE(parse_size(wrong));
  }
}

TEST_CASE("durations carry their unit") {
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("30s") == 30s);
  CHECK(parse_duration("10m") == 10min);
  CHECK(parse_duration("1h") == 1h);
  for (const auto* wrong : {"", "30", "s", "1.5h", "1d", "-1s", "1 s", "1h30m", "1M"}) {
    INFO(wrong);
    CHECK_FALSE(parse_duration(wrong));
  }
}

TEST_CASE("what does not fit into 63 bits is refused") {
  CHECK(parse_size("8589934591G") == 8589934591u * 1073741824u);
  CHECK_FALSE(parse_size("8589934592G"));
  CHECK_FALSE(parse_size("99999999999999999999"));
  CHECK_FALSE(parse_duration("9223372036854775807h"));
}

TEST_CASE("what is formatted is read back the same, and short") {
  CHECK(format_size(4294967296u) == "4G");
  CHECK(format_size(1500) == "1500");
  CHECK(format_duration(90s) == "90s");
  CHECK(format_duration(0ms) == "0ms");
  rc::prop("round trip", [] {
    const auto number = *rc::gen::inRange<int64_t>(0, int64_t{1} << 62);
    RC_ASSERT(parse_size(format_size(static_cast<uint64_t>(number))) ==
              static_cast<uint64_t>(number));
    RC_ASSERT(parse_duration(format_duration(std::chrono::milliseconds(number))) ==
              std::chrono::milliseconds(number));
  });
}
