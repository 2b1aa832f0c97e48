// Reads foreign folders: bounded, and without following any symbolic link below them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::runtime::config {

class RepositoryReader {
 public:
  struct Entry {
    std::string name;
    bool is_folder = false;
  };

  /// The path itself may go through symbolic links: it is the user's. Errors: not_found,
  /// invalid_input (not a folder), io.
  static Result<RepositoryReader> open(const std::filesystem::path& repository);

  /// Absolute, links resolved.
  const std::filesystem::path& root() const { return root_; }

  /// A regular file, whole; nothing if it or a folder above it does not exist. Errors name the
  /// path: denied (a symbolic link on the way), invalid_input (not a regular file), exhausted
  /// (larger than `bytes_max`), io.
  Result<std::optional<std::string>> read(std::string_view relative, size_t bytes_max) const;

  /// The entries of a folder in byte order of their names; nothing if it does not exist. Anything
  /// but regular files and folders is refused (denied), and so are more than `entries_max`
  /// (exhausted) and names that are not UTF-8 or hold control characters
  /// (invalid_input).
  Result<std::optional<std::vector<Entry>>> list(std::string_view relative,
                                                 size_t entries_max) const;

 private:
  RepositoryReader(UniqueFd folder, std::filesystem::path root)
      : folder_(std::move(folder)), root_(std::move(root)) {}

  Result<std::optional<UniqueFd>> open_below(std::string_view relative, int flags) const;
  std::string shown(std::string_view relative) const;

  UniqueFd folder_;
  std::filesystem::path root_;
};

}  // namespace sable::runtime::config
