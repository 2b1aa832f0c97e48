// Whole files in and out, atomically and durably.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable {

/// Reads a regular file whole. `bytes_max` bounds memory: a larger file fails with exhausted.
Result<std::string> read_file(const std::filesystem::path& path,
                              size_t bytes_max = size_t{64} << 20);

/// Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the folder, so
/// that after a crash either the old or the new content is there, whole.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                   unsigned mode = 0644);

/// The exclusive lock of a folder (flock(2)), which nobody waits for: held as long as the
/// descriptor is open, by whatever process has it. Empty: somebody else holds it, or it is no
/// folder.
UniqueFd lock_folder(const std::filesystem::path& folder);

/// write(2) until everything is written, EINTR included.
Result<void> write_all(int fd, std::string_view bytes);

}  // namespace sable
