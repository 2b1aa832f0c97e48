// JSON Schema: what the specification says, the draft-07 suite where it is installed, and what is
// refused.
#include "tools/schema.h"

#include <filesystem>
#include <iostream>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/text.h"
#include "tests/support/contains.h"

using namespace sable;
using namespace sable::tools;
namespace fs = std::filesystem;

namespace {

Json json(std::string_view text) {
  auto value = parse_json(text);
  REQUIRE(value);
  return *value;
}

Json json_file(const fs::path& path) {
  const auto text = read_file(path);
  REQUIRE(text);
  return json(*text);
}

bool fits(std::string_view schema, std::string_view value) {
  const auto compiled = Schema::compile(json(schema));
  REQUIRE(compiled);
  return compiled->check(json(value)).empty();
}

std::string error_of(std::string_view schema) {
  const auto compiled = Schema::compile(json(schema));
  REQUIRE_FALSE(compiled);
  CHECK(compiled.error().code == ErrorCode::invalid_input);
  return compiled.error().message;
}

std::string violations_of(std::string_view schema, std::string_view value) {
  const auto compiled = Schema::compile(json(schema));
  REQUIRE(compiled);
  return describe(compiled->check(json(value)), *compiled);
}

bool refers_outside(const Json& schema) {
  const std::string text = dump_json(schema);
  return contains(text, "\"$ref\":\"http://json-schema.org/") ||
         contains(text, "\"$ref\":\"http://localhost:1234/");
}

}  // namespace

TEST_CASE("every 2020-12 keyword means what the specification says") {
  const Json cases = json_file(fs::path(SABLE_SOURCE_DIR) / "tests/unit/tools/schema_2020_12.json");
  CHECK(cases.size() > 60);
  for (const auto& one : cases) {
    INFO(one["about"].get<std::string>());
    const auto schema = Schema::compile(one["schema"]);
    if (!schema) FAIL(schema.error().message);
    for (const auto& value : one["valid"]) {
      INFO("valid: " << dump_json(value));
      CHECK(describe(schema->check(value), *schema) == "");
    }
    for (const auto& value : one["invalid"]) {
      INFO("invalid: " << dump_json(value));
      CHECK_FALSE(schema->check(value).empty());
    }
  }
}

TEST_CASE("the draft-07 suite passes, and its remote references are refused") {
  const fs::path suite = "/usr/share/json-schema-test-suite/tests/draft7";
  if (!fs::exists(suite)) {
    WARN("not run: install the package json-schema-test-suite to run this test");
    return;
  }
  std::vector<fs::path> files = {suite / "optional/bignum.json",
                                 suite / "optional/ecmascript-regex.json"};
  for (const auto& entry : fs::directory_iterator(suite)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  size_t n_checked = 0, n_refused = 0;
  for (const auto& file : files) {
    for (Json group : json_file(file)) {
      INFO(file.filename().string() << ": " << group["description"].get<std::string>());
      // A format asserts nothing; one optional group wants "regex" to.
      if (file.parent_path() != suite && group["schema"].contains("format")) continue;
      Json schema = group["schema"];
      const bool is_remote = refers_outside(schema) || file.filename() == "refRemote.json";
      if (schema.is_object()) schema["$schema"] = "http://json-schema.org/draft-07/schema#";
      const auto compiled = Schema::compile(schema);
      if (is_remote && !compiled) {
        CHECK(contains(compiled.error().message, "leads out of this document"));
        ++n_refused;
        continue;
      }
      if (!compiled) FAIL(compiled.error().message);
      for (const auto& test : group["tests"]) {
        INFO(test["description"].get<std::string>() << ": " << dump_json(test["data"]));
        CHECK(compiled->check(test["data"]).empty() == test["valid"].get<bool>());
        ++n_checked;
      }
    }
  }
  std::cout << "draft-07 suite: " << n_checked << " checks, " << n_refused
            << " schemas with remote references refused\n";
  CHECK(n_checked > 400);
}

TEST_CASE("a wrong schema is refused with the place and what was expected") {
  CHECK(error_of(R"({"properties": {"a": {"type": "strng"}}})") ==
        "/properties/a/type: expected a type's name, got \"strng\"; did you mean \"string\"?");
  CHECK(error_of(R"({"minimum": "3"})") == "/minimum: expected a number, got \"3\"");
  CHECK(error_of(R"({"maxLength": -1})") == "/maxLength: expected a whole number from 0, got -1");
  CHECK(error_of(R"({"multipleOf": 0})") == "/multipleOf: expected a number above 0, got 0");
  CHECK(error_of(R"({"properties": {"a/b": 3}})") ==
        "/properties/a~1b: expected a schema (an object, true or false), got 3");
  CHECK(contains(error_of(R"({"pattern": "a("})"), "is not valid"));
  CHECK(contains(error_of(R"({"required": "a"})"), "expected a list of names"));
  CHECK(contains(error_of(R"({"anyOf": []})"), "at least one"));
  CHECK(
      contains(error_of(R"({"$schema": "http://json-schema.org/draft-03/schema#"})"), "known are"));
  CHECK(contains(error_of("3"), "expected a schema"));
}

TEST_CASE("references out of the document, to nothing and without end are refused") {
  CHECK(contains(error_of(R"({"$ref": "http://example.com/x"})"), "leads out of this document"));
  CHECK(contains(error_of(R"({"$ref": "file:///etc/passwd"})"), "leads out of this document"));
  CHECK(contains(error_of(R"({"$ref": "other.json"})"), "leads out of this document"));
  CHECK(contains(error_of(R"({"$ref": "#/$defs/x"})"), "leads to nothing"));
  CHECK(contains(error_of(R"({"$ref": "#x"})"), "leads to nothing"));
  CHECK(contains(error_of(R"({"$ref": "#"})"), "refers to itself without end"));
  CHECK(
      contains(error_of(R"({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]},
                              "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}})"),
               "without end"));
  CHECK(contains(error_of(R"({"prefixItems": [1], "$ref": "#/prefixItems/7"})"),
                 "expected a schema"));
  CHECK(contains(error_of(R"({"prefixItems": [true], "items": {"$ref": "#/prefixItems/01x"}})"),
                 "leads to nothing"));
}

TEST_CASE("dynamic references without end are cut off at validation") {
  // Statically "#a" leads to a harmless place; dynamically it leads back to where it stands.
  const auto schema = Schema::compile(json(R"({
    "$id": "http://x/root", "$dynamicAnchor": "a", "$ref": "leaf",
    "$defs": {"leaf": {"$id": "leaf", "$dynamicRef": "#a", "$defs": {"x": {"$dynamicAnchor": "a"}}}}})"));
  REQUIRE(schema);
  const auto violations = schema->check(Json(1));
  REQUIRE(violations.size() == 1);
  CHECK(contains(violations[0].expected, "going round in references"));
}

TEST_CASE("size, depth and effort are bounded") {
  std::string deep = "true";
  for (int i = 0; i < 60; ++i) deep = "{\"not\":" + deep + "}";
  CHECK(Schema::compile(json(deep)));
  std::string deeper = R"({"not":{"not":{"not":{"not":{"not":)" + deep + "}}}}}";
  Json nested = json("true");
  for (int i = 0; i < 70; ++i) nested = Json{{"not", nested}};
  CHECK(contains(Schema::compile(nested).error().message, "nested deeper"));
  Json wide = {{"anyOf", Json::array()}};
  for (int i = 0; i < 5000; ++i) wide["anyOf"].push_back(true);
  CHECK(contains(Schema::compile(wide).error().message, "more than 4096 subschemas"));

  // Every level doubles the work: 2^40 applications without a bound.
  Json bomb = {{"$ref", "#/$defs/d0"}, {"$defs", Json::object()}};
  for (int i = 0; i < 40; ++i) {
    const std::string next = "#/$defs/d" + std::to_string(i + 1);
    bomb["$defs"]["d" + std::to_string(i)] = {{"allOf", {{{"$ref", next}}, {{"$ref", next}}}}};
  }
  bomb["$defs"]["d40"] = true;
  const auto compiled = Schema::compile(bomb);
  REQUIRE(compiled);
  const auto violations = compiled->check(Json(1));
  REQUIRE(violations.size() == 1);
  CHECK(contains(violations[0].expected, "less effort"));
}

TEST_CASE("a pattern that backtracks for ever is given up, also behind not") {
  const std::string text = "\"" + std::string(5000, 'a') + "!\"";
  CHECK_FALSE(fits(R"({"pattern": "^(a+)+$"})", text));
  CHECK_FALSE(fits(R"({"not": {"pattern": "^(a+)+$"}})", text));
  CHECK(fits(R"({"pattern": "^a+!$"})", text));
}

TEST_CASE("deep values are checked against recursive schemas without running out of stack") {
  const auto schema = Schema::compile(json(R"({"items": {"$ref": "#"}, "type": "array"})"));
  REQUIRE(schema);
  Json value = Json::array();
  for (int i = 0; i < 60; ++i) value = Json::array({value});
  CHECK(schema->check(value).empty());
  for (int i = 0; i < 1000; ++i) value = Json::array({value});
  CHECK_FALSE(schema->check(value).empty());
}

TEST_CASE("violations are written for a model") {
  CHECK(violations_of(R"({"properties": {"a": {"type": ["integer", "null"]}}})", R"({"a": "7"})") ==
        "at /a: expected null or an integer, got a string: \"7\"; schema /properties/a: "
        "{\"type\":[\"integer\",\"null\"]}\n");
  CHECK(contains(violations_of(R"({"enum": ["a", "b"]})", "\"c\""),
                 "expected one of \"a\", \"b\", got \"c\""));
  CHECK(contains(violations_of(R"({"properties": {"color": true}, "additionalProperties": false})",
                               R"({"colour": 1})"),
                 "at /colour: expected no property of this name (did you mean \"color\"?)"));
  CHECK(contains(violations_of(R"({"anyOf": [{"type": "string"}, {"type": "integer"}]})", "null"),
                 "expected a string, or an integer, got null"));
  // Of alternatives that are objects, the nearest speaks.
  CHECK(contains(violations_of(R"({"items": {"anyOf": [
          {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind"]},
          {"type": "string"}]}})",
                               R"([{"kind": "a", "n": "x"}])"),
                 "at /0/n: expected an integer"));
  CHECK(contains(violations_of(R"({"minimum": 0.50})", "0"), "a number of at least 0.5"));
  CHECK(is_utf8(violations_of(R"({"maxLength": 3})", "\"" + std::string(200, 'x') + "é\"")));
}

TEST_CASE("the compiled form can be read: order of properties, resolved references") {
  const auto schema = Schema::compile(json(
      R"({"properties": {"z": {"$ref": "#/$defs/t"}, "a": true}, "$defs": {"t": {"type": "string"}}})"));
  REQUIRE(schema);
  const auto& root = schema->nodes()[0];
  REQUIRE(root.properties.size() == 2);
  CHECK(root.properties[0].first == "z");
  const auto& z = schema->nodes()[root.properties[0].second];
  REQUIRE(z.reference);
  CHECK(schema->nodes()[*z.reference].types == SchemaNode::string);
  CHECK(schema->nodes()[*z.reference].location == "/$defs/t");
}
