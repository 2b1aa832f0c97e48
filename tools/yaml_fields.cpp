#include "tools/yaml_fields.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::tools {

tl::unexpected<Error> fail_at(std::string_view file, const YamlValue& value, std::string_view why) {
  return sable::fail(ErrorCode::invalid_input, fmt::format("{}:{}: {}", file, value.place(), why));
}

tl::unexpected<Error> YamlFields::with_file(const Error& error) const {
  return sable::fail(error.code, fmt::format("{}:{}", file_, error.message));
}

Result<YamlFields> YamlFields::open(std::string_view file, const YamlValue& value,
                                    std::initializer_list<std::string_view> known) {
  if (value.kind != YamlValue::Kind::mapping) {
    return fail_at(file, value, "expected a mapping of keys to values");
  }
  for (const auto& [key, field] : value.entries) {
    if (std::find(known.begin(), known.end(), key.scalar) != known.end()) continue;
    const std::vector<std::string> names(known.begin(), known.end());
    const std::string near = nearest(key.scalar, names);
    std::string why = fmt::format("unknown key \"{}\"", escape_controls(key.scalar));
    if (!near.empty()) {
      why += fmt::format("; did you mean \"{}\"?", near);
    } else {
      why += fmt::format("; known are {}", fmt::join(names, ", "));
    }
    return fail_at(file, key, why);
  }
  return YamlFields(file, value);
}

Result<const YamlValue*> YamlFields::need(std::string_view key) const {
  const YamlValue* found = value_->find(key);
  if (found == nullptr) return fail(fmt::format("the key \"{}\" is missing", key));
  return found;
}

Result<std::string> YamlFields::text(std::string_view key) const {
  SABLE_TRY(const YamlValue* found, need(key));
  auto text = found->as_string();
  if (!text) return with_file(text.error());
  return text;
}

Result<std::string> YamlFields::text_or(std::string_view key, std::string_view fallback) const {
  if (find(key) == nullptr) return std::string(fallback);
  return text(key);
}

Result<std::optional<int64_t>> YamlFields::whole(std::string_view key, int64_t least,
                                                 int64_t most) const {
  const YamlValue* found = find(key);
  if (found == nullptr) return std::optional<int64_t>();
  const auto number = found->as_int();
  if (!number) return with_file(number.error());
  if (*number < least || *number > most) {
    return fail_at(file_, *found,
                   fmt::format("expected a whole number from {} to {}", least, most));
  }
  return std::optional<int64_t>(*number);
}

Result<std::optional<double>> YamlFields::number(std::string_view key, double above,
                                                 double most) const {
  const YamlValue* found = find(key);
  if (found == nullptr) return std::optional<double>();
  const auto number = found->as_number();
  if (!number) return with_file(number.error());
  if (*number <= above || *number > most) {
    return fail_at(file_, *found,
                   fmt::format("expected a number above {} and at most {}", above, most));
  }
  return std::optional<double>(*number);
}

Result<std::vector<std::string>> YamlFields::texts(std::string_view key) const {
  std::vector<std::string> list;
  const YamlValue* found = find(key);
  if (found == nullptr) return list;
  if (found->kind != YamlValue::Kind::sequence) return fail_at(file_, *found, "expected a list");
  for (const auto& item : found->items) {
    auto text = item.as_string();
    if (!text) return with_file(text.error());
    list.push_back(std::move(*text));
  }
  return list;
}

}  // namespace sable::tools
