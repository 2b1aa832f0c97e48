// Locks between processes, and the files and folders that hold them.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::memory {

enum class LockKind { shared, alone };

/// An open-file-description lock: it belongs to the descriptor, so closing another descriptor of
/// the same file does not drop it, and it ends with the process.
bool try_lock(int fd, LockKind kind);
bool wait_for_lock(int fd, LockKind kind);

/// Whether the name still leads to the open file (a releasing owner may have removed it).
bool leads_to(const std::filesystem::path& file, int fd);

/// Creates the folder (0700), durably, or closes an existing one to others. Errors: denied when it
/// is something else or somebody else's.
Result<void> make_private_folder(const std::filesystem::path& folder);

/// The same with the folders that lead to it. Those that are there stay as they are.
Result<void> make_private_folders(const std::filesystem::path& folder);

/// Opens a file (0600) and makes it, empty, if there is none.
Result<UniqueFd> open_private_file(const std::filesystem::path& file);

}  // namespace sable::memory
