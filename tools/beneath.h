// Paths resolved beneath a folder by the kernel (openat2(2)), never by comparing strings.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::tools {

/// Opens `path` (relative) beneath the folder `root`. `flags` and `mode` as for open(2); O_CLOEXEC
/// is added. Neither "..", symbolic links nor magic links lead out. A resolution that the kernel
/// saw change while it ran is tried again a bounded number of times. Errors: not_found, denied
/// (leads out, no permission), invalid_input (not a path, a link where none may be), io.
Result<UniqueFd> open_beneath(int root, std::string_view path, int flags, unsigned mode = 0);

/// Where an open descriptor really is, relative to the folder `root`: "." for the root itself.
/// Errors: denied when it is not beneath the root (any more).
Result<std::string> place_beneath(int root, int fd);

/// `folder`/`name` without a leading "./".
std::string joined(std::string_view folder, std::string_view name);

}  // namespace sable::tools
