// The files of a repository, as a value: laid out, read back, committed.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace sable::evaluation {

/// Contents by path below the root. A symbolic link stands here as "-> " and its target; what is
/// neither file nor link is left out, and so is ".git".
using Files = std::map<std::string, std::string>;

/// Writes the files below `folder`, which is made. Errors: io, and invalid_input for a path that
/// leads out of it.
Result<void> write_files(const Files& files, const std::filesystem::path& folder);

/// All files below `folder`. Errors: io; exhausted beyond 10,000 files or 64 MiB.
Result<Files> read_files(const std::filesystem::path& folder);

/// Makes a git repository of `folder`, with one commit of all that is in it and not ignored; the
/// user's git settings have no part in it.
Result<void> commit_all(const std::filesystem::path& folder);

}  // namespace sable::evaluation
