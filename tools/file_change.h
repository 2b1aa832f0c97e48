// One file's change, and how people see it.
#pragma once

#include <optional>
#include <string>

namespace sable::tools {

/// A file's content before and after; absent where the file did not exist. Text is shown as a diff.
struct FileChange {
  std::string path;  ///< relative to the workspace's root
  std::optional<std::string> before, after;
  std::string diff = {};  ///< unified_diff() of it, made by run() where it may take its time
};

/// The change as a unified diff for people: valid UTF-8, control characters inert, bounded in size.
/// `context` is the number of unchanged lines around each hunk. Empty when nothing changed.
std::string unified_diff(const FileChange& change, size_t context = 3);

}  // namespace sable::tools
