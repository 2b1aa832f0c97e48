#include "tools/schema_words.h"

#include <fmt/format.h>

#include "base/text.h"

namespace sable::tools {

std::string shown(const Json& value) {
  const std::string text = dump_json(value);
  const size_t kept = utf8_prefix(text, 80);
  return escape_controls(text.substr(0, kept)) + (kept < text.size() ? "..." : "");
}

std::string_view type_name(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "a boolean";
  if (value.is_number()) return Decimal(value).is_integer() ? "an integer" : "a number";
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

std::string types_in_words(uint8_t types) {
  constexpr std::string_view kNames[] = {"null",     "a boolean", "an integer", "a number",
                                         "a string", "an array",  "an object"};
  std::string text;
  for (size_t i = 0; i < 7; ++i) {
    if ((types & (1u << i)) == 0) continue;
    text += (text.empty() ? "" : " or ") + std::string(kNames[i]);
  }
  return text;
}

std::string values_in_words(const std::vector<Json>& values) {
  if (values.size() == 1) return shown(values[0]);
  std::string text = "one of";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i == 20) return text + fmt::format(" and {} more", values.size() - i);
    text += (i == 0 ? " " : ", ") + shown(values[i]);
  }
  return text;
}

std::string describe(const std::vector<Violation>& violations, const Schema& schema) {
  constexpr size_t kFragmentBytesMax = 400;
  std::string text;
  for (const auto& violation : violations) {
    const Json* fragment = &schema.document();
    try {
      fragment = &schema.document().at(Json::json_pointer(violation.schema_location));
    } catch (const Json::exception&) {  // a location that cannot be found is shown as the whole
    }
    const std::string shown_fragment = dump_json(*fragment);
    const size_t kept = utf8_prefix(shown_fragment, kFragmentBytesMax);
    text += fmt::format(
        "at {}: expected {}, got {}; schema {}: {}{}\n",
        violation.pointer.empty() ? "the whole value" : escape_controls(violation.pointer),
        violation.expected, violation.got,
        violation.schema_location.empty() ? "/" : violation.schema_location,
        shown_fragment.substr(0, kept), kept < shown_fragment.size() ? "..." : "");
  }
  return text;
}

}  // namespace sable::tools
