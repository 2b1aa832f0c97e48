// Tools that a person allowed "always" in one repository: kept in the user's home, never in the
// repository.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "base/result.h"

namespace sable::runtime {

/// HOME/approvals.json: {"version": 1, "allowed": {"/repo": ["shell"]}}, mode 0600.
class RememberedApprovals {
 public:
  explicit RememberedApprovals(const std::filesystem::path& home)
      : file_(home / "approvals.json") {}

  /// Names of the tools allowed in this repository; none when nothing was kept. corrupt names the
  /// file.
  Result<std::set<std::string>> in(const std::filesystem::path& repository) const;

  Result<void> remember(const std::filesystem::path& repository, const std::string& tool) const;

 private:
  std::filesystem::path file_;
};

}  // namespace sable::runtime
