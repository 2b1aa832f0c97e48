// A plan and an execution as bytes and back. The decoder believes nothing: every count and length
// is bounded, and bytes that are left over are an error.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "sandbox/plan.h"

namespace sable::sandbox {

/// What is larger is refused by both sides. Arguments and environment are limited by the
/// kernel to 2 MiB together, so every possible plan fits.
inline constexpr size_t kPlanBytesMax = size_t{4} << 20;

/// Little-endian, fixed field order, "SBLP" and a version in front.
std::vector<uint8_t> encode_plan(const Plan& plan);

/// Nothing if the bytes are not exactly one plan within its bounds.
std::optional<Plan> decode_plan(std::span<const uint8_t> bytes);

/// The same for what runs in it, with "SBLX" in front.
std::vector<uint8_t> encode_execution(const Execution& execution);
std::optional<Execution> decode_execution(std::span<const uint8_t> bytes);

}  // namespace sable::sandbox
