// A folder to work in for the time of one command.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"

namespace sable::runtime {

/// Removed with all that is in it at the end, if it is ours.
class WorkFolder {
 public:
  /// A new one below `parent` (empty: /tmp), readable by its owner alone; ours.
  static Result<std::unique_ptr<WorkFolder>> temporary(const std::string& parent);
  /// The user's, made if it is missing; stays. invalid_input when something is in it.
  static Result<std::unique_ptr<WorkFolder>> named(const std::filesystem::path& path);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }  ///< absolute and real

 private:
  WorkFolder(std::filesystem::path path, bool ours) : path_(std::move(path)), ours_(ours) {}
  std::filesystem::path path_;
  bool ours_;
};

}  // namespace sable::runtime
