// A YAML mapping read field by field: unknown keys are refused, every error has its place.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"

namespace sable::tools {

/// "FILE:LINE:COLUMN: WHY".
tl::unexpected<Error> fail_at(std::string_view file, const YamlValue& value, std::string_view why);

/// Borrows the value and the file's name.
class YamlFields {
 public:
  /// Errors: not a mapping; a key that is not `known`, with the nearest known one.
  static Result<YamlFields> open(std::string_view file, const YamlValue& value,
                                 std::initializer_list<std::string_view> known);

  /// Errors: missing, or not of the type.
  Result<std::string> text(std::string_view key) const;
  Result<const YamlValue*> need(std::string_view key) const;
  const YamlValue* find(std::string_view key) const { return value_->find(key); }
  /// A whole number within the bounds; nullopt where the key is absent.
  Result<std::optional<int64_t>> whole(std::string_view key, int64_t least, int64_t most) const;
  Result<std::optional<double>> number(std::string_view key, double above, double most) const;
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const;
  /// A list of strings, empty where the key is absent.
  Result<std::vector<std::string>> texts(std::string_view key) const;

  tl::unexpected<Error> fail(std::string_view why) const { return fail_at(file_, *value_, why); }
  std::string_view file() const { return file_; }

 private:
  YamlFields(std::string_view file, const YamlValue& value) : file_(file), value_(&value) {}
  /// Errors of YamlValue begin with LINE:COLUMN.
  tl::unexpected<Error> with_file(const Error& error) const;

  std::string_view file_;
  const YamlValue* value_;
};

}  // namespace sable::tools
