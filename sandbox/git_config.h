// Git's configuration files: read the way git reads them, so that nothing git would act on hides.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sable::sandbox {

struct GitSetting {
  std::string key;  ///< "core.hookspath", "filter.Name.clean": section and last name in lower case
  std::string value;

  friend bool operator==(const GitSetting&, const GitSetting&) = default;
};

/// The settings in their order, those of one name as often as it stands there. Git refuses a whole
/// file with a line that it cannot read; here only that line is left out. Blanks inside a value
/// stay as they are written (git before 2.45 makes each a space). Source: git-config(1), "Syntax".
std::vector<GitSetting> parse_git_config(std::string_view text);

}  // namespace sable::sandbox
