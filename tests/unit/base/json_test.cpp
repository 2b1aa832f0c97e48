#include "base/json.h"

#include <chrono>
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

TEST_CASE("of equal keys the first keeps its place and the last its value") {
  const auto value = parse_json(R"({"a":1,"b":{"x":0,"x":[2]},"a":{"c":3},"d":4,"a":5})");
  REQUIRE(value);
  CHECK(dump_json(*value) == R"({"a":5,"b":{"x":[2]},"d":4})");
}

TEST_CASE("an object of 200,000 keys is parsed in time that does not grow with its square") {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i)
    text += "\"key" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  text.back() = '}';
  const auto before = std::chrono::steady_clock::now();
  const auto value = parse_json(text);
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before);
  REQUIRE(value);
  CHECK(value->size() == 200'000);
  CHECK(value->rbegin().value() == 199'999);
  CHECK(seconds.count() < 10.0);  // milliseconds when healthy; the quadratic way takes a minute
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

TEST_CASE("an integer that is missing, no integer or too large for an int gives the fallback") {
  const auto value = parse_json(
      R"({"small":-7,"large":2147483648,"huge":18446744073709551615,"real":1.5,"text":"1"})");
  REQUIRE(value);
  CHECK(int_or(*value, "small", 1) == -7);
  for (const char* key : {"large", "huge", "real", "text", "missing"}) {
    CHECK(int_or(*value, key, 1) == 1);
  }
  CHECK(int_or(Json::array(), "small", 1) == 1);
}
