// Bytes in an anonymous file, to be handed to another process.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::sandbox {

/// An empty one that can be sealed.
Result<UniqueFd> memory_file();

Result<UniqueFd> memory_file_of(std::span<const uint8_t> bytes);

/// From here on nobody can change it; its position is the beginning.
void seal(const UniqueFd& file);

}  // namespace sable::sandbox
