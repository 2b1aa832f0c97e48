// Which files a turn changed, whoever did it: a bounded scan of the repository before and after.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace sable::agent {

/// Size, change time and inode of each regular file below a root, .git and symbolic links left out.
struct FileScan {
  struct Stamp {
    uint64_t size, inode;
    int64_t changed_ns;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  std::map<std::string, Stamp> files;  ///< by path relative to the root
  bool complete = true;  ///< false when the bound was reached: then nothing is claimed
};

/// Walks at most `n_files_max` files. Blocking: call it on a worker. What cannot be read is left
/// out.
FileScan scan_files(const std::filesystem::path& root, size_t n_files_max = 200'000);

/// Paths that were added, removed or changed, sorted. Empty when either scan is incomplete.
std::vector<std::string> changed_between(const FileScan& before, const FileScan& after);

}  // namespace sable::agent
