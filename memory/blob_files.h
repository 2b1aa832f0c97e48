// Large payloads as files named by their content.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::memory {

/// The digest (hexadecimal) in "blob:sha256:HEX". Errors: invalid_input.
Result<std::string> digest_of_locator(std::string_view locator);

/// Makes the bytes durable as `folder`/HH/HEX (0600); a file that is there and whole is kept.
Result<void> write_blob(const std::filesystem::path& folder, const std::string& digest,
                        std::string_view bytes);

/// Errors: not_found; corrupt when the content is not what its name says.
Result<std::string> read_blob(const std::filesystem::path& folder, const std::string& digest);

/// Also when it is not there.
Result<void> remove_blob(const std::filesystem::path& folder, const std::string& digest);

}  // namespace sable::memory
