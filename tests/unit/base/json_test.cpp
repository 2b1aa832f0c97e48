#include "base/json.h"

#include <string>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;

TEST_CASE("JSON keeps the order of keys and reads what RFC 8259 allows") {
  const auto value = parse_json(R"({"b": [1, -2.5e3, "\u00e9\n"], "a": null})");
  REQUIRE(value);
  CHECK(dump_json(*value) == "{\"b\":[1,-2500.0,\"\xC3\xA9\\n\"],\"a\":null}");
}

TEST_CASE("broken JSON is refused with the byte") {
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "nul", "\"\xFF\"", "1 2", "{\"a\":1}x"}) {
    INFO(text);
    const auto value = parse_json(text);
    REQUIRE_FALSE(value);
    CHECK(value.error().code == ErrorCode::invalid_input);
    CHECK(value.error().message.find("byte") != std::string::npos);
  }
}

TEST_CASE("depth and size are bounded") {
  CHECK(parse_json(std::string(64, '[') + std::string(64, ']')));
  const auto deep = parse_json(std::string(100000, '['));
  REQUIRE_FALSE(deep);
  CHECK(deep.error().message == "JSON is nested deeper than 64 levels");
  CHECK(parse_json("[1,2,3]", {.bytes_max = 3}).error().code == ErrorCode::exhausted);
}

TEST_CASE("any bytes are either refused or survive a round trip") {
  rc::prop("parse then dump then parse is a fixed point", [](const std::string& bytes) {
    if (const auto value = parse_json(bytes)) {
      const auto again = parse_json(dump_json(*value));
      RC_ASSERT(again.has_value());
      RC_ASSERT(*again == *value);
    }
  });
}
