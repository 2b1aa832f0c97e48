// YAML text as a bounded tree that remembers where each value stood, for errors with line and
// column.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace sable {

/// One YAML 1.2 value (core schema). Aliases are expanded up to YamlLimits; tags other than the
/// core ones are refused.
struct YamlValue {
  enum class Kind { null, scalar, sequence, mapping };

  Kind kind = Kind::null;
  std::string scalar;            ///< text of a scalar
  bool quoted = false;           ///< a quoted scalar is always a string
  std::vector<YamlValue> items;  ///< of a sequence
  std::vector<std::pair<YamlValue, YamlValue>>
      entries;               ///< of a mapping, as written; keys are scalars
  int line = 0, column = 0;  ///< from 1

  const YamlValue* find(std::string_view key) const;  ///< in a mapping, else nullptr

  Result<std::string> as_string() const;
  Result<bool> as_bool() const;
  Result<int64_t> as_int() const;
  Result<double> as_number() const;
  /// The whole value as JSON, plain scalars typed by the core schema.
  Result<Json> as_json() const;

  /// "3:7", for messages.
  std::string place() const;

  // Declared here and defaulted in yaml.cpp: left implicit, their existence depends on a pair that
  // depends on them, which clang 14 refuses.
  YamlValue();
  YamlValue(const YamlValue&);
  YamlValue(YamlValue&&) noexcept;
  YamlValue& operator=(const YamlValue&);
  YamlValue& operator=(YamlValue&&) noexcept;
  ~YamlValue();
};

struct YamlLimits {
  size_t bytes_max = size_t{1} << 20;
  size_t nodes_max = 100000;  ///< after expansion of aliases
  size_t depth_max = 64;
};

/// Parses exactly one document. Errors (invalid_input) begin with "NAME:LINE:COLUMN: ". Duplicate
/// keys, keys that are not scalars, and merge keys ("<<") are refused.
Result<YamlValue> parse_yaml(std::string_view text, std::string_view name,
                             const YamlLimits& limits = {});

}  // namespace sable
