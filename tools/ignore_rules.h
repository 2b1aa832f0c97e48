// The rules of .gitignore files, folder by folder.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/glob.h"

namespace sable::tools {

/// The rules of one folder on top of those of the folders above it; a later rule wins.
class IgnoreRules {
 public:
  /// The rules of the .gitignore text in `folder` (relative to the root, "." for the root itself).
  /// `above` may be empty. Beyond a bound on their number further rules are left out.
  IgnoreRules(std::shared_ptr<const IgnoreRules> above, std::string_view folder,
              std::string_view gitignore);

  /// Whether `path` itself is ignored. Its parents are the caller's affair.
  bool ignores(std::string_view path, bool is_folder) const;

 private:
  struct Rule {
    Glob glob;  ///< of the path below the folder, or of the name alone
    bool by_name, negated, folders_only;
  };

  std::optional<bool> verdict(std::string_view path, bool is_folder) const;

  std::shared_ptr<const IgnoreRules> above_;
  std::string folder_;  ///< with a final slash, empty for the root
  std::vector<Rule> rules_;
  size_t n_with_above_ = 0;
};

}  // namespace sable::tools
