// Sizes and durations as people write them: "512M", "2m".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::runtime::config {

/// Bytes: a whole number, alone or with K, M or G (powers of 1024).
Result<uint64_t> parse_size(std::string_view text);

/// A whole number with ms, s, m or h. A bare number is refused: its unit would be a guess.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest exact way to write it; parse_size() reads it back.
std::string format_size(uint64_t bytes);

/// The same for a duration that is not negative.
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace sable::runtime::config
