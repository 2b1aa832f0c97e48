#include "tests/support/random_schema.h"

#include <string>

namespace sable::test {

namespace {

class Generator {
 public:
  explicit Generator(std::mt19937& random) : random_(random) {}

  size_t pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  bool chance(size_t one_in) { return pick(one_in) == 0; }

  Json object(int depth, size_t n_max) {
    Json schema{{"type", "object"}};
    const char* names[] = {"path", "pattern", "n", "é", "a b", "old_text", "null", "x\\y"};
    Json properties = Json::object(), required = Json::array();
    for (size_t n = pick(n_max + 1), i = 0; i < n; ++i) {
      const std::string name = names[pick(std::size(names))];
      if (properties.contains(name)) continue;
      properties[name] = value(depth - 1);
      if (chance(2)) required.push_back(name);
    }
    if (!properties.empty() || chance(2)) schema["properties"] = properties;
    if (!required.empty()) schema["required"] = required;
    if (chance(2)) schema["additionalProperties"] = false;
    if (chance(6)) schema["maxProperties"] = required.size() + pick(3);
    if (chance(6) && !properties.empty()) schema["minProperties"] = pick(properties.size() + 1);
    return schema;
  }

  Json value(int depth) {
    switch (pick(depth > 0 ? 12 : 7)) {
      case 0:
        return text();
      case 1:
        return number("integer");
      case 2:
        return number("number");
      case 3:
        return {{"type", "boolean"}};
      case 4:
        return {{"enum", {"one", "two</", 3, nullptr, "on", 1.5, {1, "x"}}}};
      case 5:
        return {{"type", {"string", "null", "integer"}}, {"maxLength", 3 + pick(5)}};
      case 6:
        return {{"const", chance(2) ? Json("fixed") : Json(42)}};
      case 7:
        return array(depth);
      case 8:
        return object(depth, 3);
      case 9:
        return {{"anyOf", {value(depth - 1), value(depth - 1)}}};
      case 10:
        return {{"allOf", {{{"type", "string"}, {"minLength", 1}}, {{"maxLength", 4}}}}};
      default:
        return {{"$ref", "#/$defs/tree"}};
    }
  }

  Json text() {
    Json schema{{"type", "string"}};
    const size_t least = pick(4);
    if (chance(2)) schema["minLength"] = least;
    if (!chance(4)) schema["maxLength"] = least + pick(6);
    return schema;
  }

  Json number(const char* type) {
    Json schema{{"type", type}};
    const double low = static_cast<double>(pick(400)) - 200;
    if (chance(2)) schema[chance(2) ? "minimum" : "exclusiveMinimum"] = low;
    if (chance(2))
      schema[chance(2) ? "maximum" : "exclusiveMaximum"] =
          low + 1.5 + static_cast<double>(pick(300));
    return schema;
  }

  Json array(int depth) {
    Json schema{{"type", "array"}, {"items", value(depth - 1)}};
    if (chance(3)) schema["prefixItems"] = Json::array({value(depth - 1)});
    const size_t least = pick(3);
    if (chance(2)) schema["minItems"] = least;
    if (chance(2)) schema["maxItems"] = least + pick(3);
    return schema;
  }

 private:
  std::mt19937& random_;
};

}  // namespace

Json random_parameters(std::mt19937& random, int depth) {
  Generator generator(random);
  Json schema = generator.object(depth, 5);
  schema["$defs"]["tree"] = Json::parse(
      R"({"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "n": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["n"], "additionalProperties": false})");
  return schema;
}

}  // namespace sable::test
