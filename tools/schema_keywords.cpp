#include "tools/schema_keywords.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::tools {

std::string cut_text(const Json& value) {
  const std::string text = dump_json(value);
  const size_t kept = utf8_prefix(text, 60);
  return kept < text.size() ? text.substr(0, kept) + "..." : text;
}

Result<void> read_types(const Json& value, SchemaNode& node) {
  static const std::vector<std::string> kNames = {"null",   "boolean", "integer", "number",
                                                  "string", "array",   "object"};
  const auto add = [&](const Json& name) -> Result<void> {
    const auto it = name.is_string()
                        ? std::find(kNames.begin(), kNames.end(), name.get<std::string>())
                        : kNames.end();
    if (it == kNames.end()) {
      std::string why = "expected a type's name, got " + cut_text(name);
      const std::string near = name.is_string() ? nearest(name.get<std::string>(), kNames) : "";
      return fail(ErrorCode::invalid_input,
                  near.empty() ? why : fmt::format("{}; did you mean \"{}\"?", why, near));
    }
    node.types = static_cast<uint8_t>(node.types.value_or(0) | (1u << (it - kNames.begin())));
    return {};
  };
  if (!value.is_array()) return add(value);
  if (value.empty()) return fail(ErrorCode::invalid_input, "expected at least one type");
  for (const auto& name : value) {
    SABLE_TRY_VOID(add(name));
  }
  return {};
}

Result<void> read_values(bool is_const, const Json& value, SchemaNode& node) {
  if (!is_const && !value.is_array()) {
    return fail(ErrorCode::invalid_input, "expected a list, got " + cut_text(value));
  }
  std::vector<Json> values;
  std::set<std::string> texts;
  const auto add = [&](const Json& one) {
    std::string text = canonical_text(one);
    // With both keywords a value must be in both.
    if (node.values && !node.value_texts.contains(text)) return;
    if (texts.insert(std::move(text)).second) values.push_back(one);
  };
  if (is_const) {
    add(value);
  } else {
    for (const auto& one : value) add(one);
  }
  node.values = std::move(values);
  node.value_texts = std::move(texts);
  return {};
}

Result<void> read_number(const Json& value, std::optional<Decimal>& target) {
  if (!value.is_number()) {
    return fail(ErrorCode::invalid_input, "expected a number, got " + cut_text(value));
  }
  target.emplace(value);
  return {};
}

Result<void> read_divisor(const Json& value, std::optional<Decimal>& target) {
  SABLE_TRY_VOID(read_number(value, target));
  if (*target <= Decimal(Json(0))) {
    return fail(ErrorCode::invalid_input, "expected a number above 0, got " + cut_text(value));
  }
  return {};
}

Result<void> read_count(const Json& value, std::optional<uint64_t>& target) {
  if (!value.is_number() || !Decimal(value).is_integer() || Decimal(value) < Decimal(Json(0))) {
    return fail(ErrorCode::invalid_input, "expected a whole number from 0, got " + cut_text(value));
  }
  const auto number = value.get<double>();
  target = value.is_number_integer() ? value.get<uint64_t>()
           : number < 1e18           ? static_cast<uint64_t>(number)
                                     : UINT64_MAX;
  return {};
}

Result<void> read_flag(const Json& value, bool& target) {
  if (!value.is_boolean()) {
    return fail(ErrorCode::invalid_input, "expected true or false, got " + cut_text(value));
  }
  target = value.get<bool>();
  return {};
}

Result<void> read_pattern(const Json& value, std::optional<Pattern>& target) {
  if (!value.is_string()) {
    return fail(ErrorCode::invalid_input, "expected a string, got " + cut_text(value));
  }
  SABLE_TRY(auto pattern, Pattern::compile(value.get<std::string>()));
  target = std::move(pattern);
  return {};
}

Result<void> read_names(const Json& value, std::vector<std::string>& target) {
  const bool good =
      value.is_array() &&
      std::all_of(value.begin(), value.end(), [](const Json& name) { return name.is_string(); });
  if (!good)
    return fail(ErrorCode::invalid_input, "expected a list of names, got " + cut_text(value));
  for (const auto& name : value) target.push_back(name.get<std::string>());
  return {};
}

Result<void> read_dependent_required(const Json& value, SchemaNode& node) {
  if (!value.is_object())
    return fail(ErrorCode::invalid_input, "expected an object of lists of names");
  for (const auto& [name, names] : value.items()) {
    SABLE_TRY_VOID(read_names(
        names, node.dependent_required.emplace_back(name, std::vector<std::string>()).second));
  }
  return {};
}

}  // namespace sable::tools
