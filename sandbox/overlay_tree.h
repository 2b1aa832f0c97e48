// The upper layer of an overlay, read and applied to the folder below it. Every name is opened from
// its folder's descriptor without following links: what lies in the layer was made by programs that
// nobody trusts.
#pragma once

#include <filesystem>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

Result<UniqueFd> open_folder(const std::filesystem::path& path);

/// What the layer changes, parents first.
Result<std::vector<Change>> changes_in(int upper, int lower);

/// Paths of `changes` that were changed in the folder itself after `since_ns`.
std::vector<std::filesystem::path> changed_since(int lower, const std::vector<Change>& changes,
                                                 int64_t since_ns);

/// Makes the folder what the overlay showed. Interrupted and repeated it comes to the same end.
Result<void> apply_layer(int upper, int lower);

/// Removes what a folder holds.
Result<void> empty_folder(int folder);

}  // namespace sable::sandbox
