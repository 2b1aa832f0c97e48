// The folder that holds all durable state: who may use it, where its files are, how it is shared.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::memory {

/// A home that this process uses, with a shared lock on it for as long as the object lives. Whoever
/// finds nobody else there first gets it alone and may create, migrate, recover and repair.
class Home {
 public:
  /// Creates the folder (0700) and its subfolders if they are missing. Waits while another process
  /// recovers. Errors: unsupported for a network or read-only file system; denied when the
  /// folder belongs to somebody else; io.
  static Result<Home> open(const std::filesystem::path& path);

  /// The folder, but only when no other process uses it. Errors: also denied when one does.
  static Result<Home> open_alone(const std::filesystem::path& path);

  bool alone() const { return alone_; }
  /// Lets the processes that wait in open() go on.
  Result<void> share();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path database() const { return path_ / "sable.db"; }
  std::filesystem::path locks() const { return path_ / "locks"; }
  std::filesystem::path blobs() const { return path_ / "blobs"; }

 private:
  static Result<Home> prepare(const std::filesystem::path& path);
  std::filesystem::path path_;  // canonical
  UniqueFd lock_;
  bool alone_ = false;
};

/// Makes the names in a folder durable.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace sable::memory
