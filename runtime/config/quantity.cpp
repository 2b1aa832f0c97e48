#include "runtime/config/quantity.h"

#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace sable::runtime::config {

namespace {

using Unit = std::pair<std::string_view, uint64_t>;

// Largest first, so that formatting takes the first that divides.
constexpr std::array<Unit, 4> kSizes = {
    {{"G", uint64_t{1} << 30}, {"M", uint64_t{1} << 20}, {"K", uint64_t{1} << 10}, {"", 1}}};
constexpr std::array<Unit, 4> kDurations = {
    {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

/// The number times its unit; empty when it is not written so or does not fit into 63 bits.
std::optional<uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(rest - text.data()));
  for (const auto& [suffix, factor] : units) {
    if (text != suffix) continue;
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / factor)
      return std::nullopt;
    return number * factor;
  }
  return std::nullopt;
}

std::string format_with_unit(uint64_t number, std::span<const Unit> units) {
  for (const auto& [suffix, factor] : units) {
    if (number >= factor && number % factor == 0)
      return fmt::format("{}{}", number / factor, suffix);
  }
  return fmt::format("0{}", units.back().first);
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  if (const auto bytes = parse_with_unit(text, kSizes)) return *bytes;
  return fail(ErrorCode::invalid_input, "expected a size such as 65536, 512M or 4G");
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (const auto number = parse_with_unit(text, kDurations)) {
    return std::chrono::milliseconds(static_cast<int64_t>(*number));
  }
  return fail(ErrorCode::invalid_input,
              "expected a duration with its unit such as 500ms, 30s, 10m or 1h");
}

std::string format_size(uint64_t bytes) { return format_with_unit(bytes, kSizes); }

std::string format_duration(std::chrono::milliseconds duration) {
  SABLE_CHECK(duration.count() >= 0);
  return format_with_unit(static_cast<uint64_t>(duration.count()), kDurations);
}

}  // namespace sable::runtime::config
