// JSON text in and out, with foreign input bounded in size and depth.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace sable {

/// Keeps the order of keys as written: prompts, tool schemas and events depend on it.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t bytes_max = size_t{64} << 20;
  size_t depth_max = 64;  ///< nesting of arrays and objects; bounds every recursive walk after it
};

/// Parses one JSON document (RFC 8259). Errors (invalid_input) name the byte offset. Duplicate
/// keys: the last value wins. Invalid UTF-8 is refused.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

/// One line, no spaces, invalid UTF-8 replaced by U+FFFD; never throws.
std::string dump_json(const Json& value);

/// `object[key]` if it is there and a string, else the fallback.
std::string string_or(const Json& object, const char* key, std::string_view fallback);

/// `object[key]` if it is there and an integer that an int holds, else the fallback.
int int_or(const Json& object, const char* key, int fallback);

}  // namespace sable
