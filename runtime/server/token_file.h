// The secret that front ends show: made once, kept in a file that only its owner can read.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::runtime {

/// The token in `path`; a fresh one of 256 random bits in hexadecimal, written with mode 0600, when
/// there is no such file. Two processes that start at once get the same. Errors: denied (others can
/// read the file: says how to repair that), invalid_input (not 16 to 512 characters that a header
/// can carry), io.
Result<std::string> load_or_create_token(const std::filesystem::path& path);

/// Whether both are equal, in time that depends on the length of `given` alone.
bool same_secret(std::string_view given, std::string_view expected);

}  // namespace sable::runtime
