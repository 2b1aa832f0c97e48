#include "tools/ignore_rules.h"

#include "base/text.h"

namespace sable::tools {

namespace {
constexpr size_t kRulesMax = 2'000;  ///< a bound on work for a hostile repository
constexpr size_t kPatternBytesMax = 512;
}  // namespace

IgnoreRules::IgnoreRules(std::shared_ptr<const IgnoreRules> above, std::string_view folder,
                         std::string_view gitignore)
    : above_(std::move(above)),
      folder_(folder == "." ? "" : std::string(folder) + "/"),
      n_with_above_(above_ ? above_->n_with_above_ : 0) {
  for (std::string_view line : split_lines(gitignore)) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (line.ends_with(' ') && !line.ends_with("\\ ")) line.remove_suffix(1);
    if (line.empty() || line[0] == '#' || line.size() > kPatternBytesMax) continue;
    const bool negated = line[0] == '!';
    if (negated) line.remove_prefix(1);
    const bool folders_only = line.ends_with('/');
    if (folders_only) line.remove_suffix(1);
    // A slash at the start or in the middle ties the pattern to the folder of its file.
    const bool by_name = line.find('/') == std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    if (line.empty()) continue;
    if (n_with_above_ == kRulesMax) return;
    ++n_with_above_;
    rules_.push_back(
        {.glob = Glob(line), .by_name = by_name, .negated = negated, .folders_only = folders_only});
  }
}

bool IgnoreRules::ignores(std::string_view path, bool is_folder) const {
  for (const IgnoreRules* rules = this; rules != nullptr; rules = rules->above_.get()) {
    if (const auto found = rules->verdict(path, is_folder)) return *found;
  }
  return false;
}

std::optional<bool> IgnoreRules::verdict(std::string_view path, bool is_folder) const {
  if (!path.starts_with(folder_)) return std::nullopt;
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->folders_only && !is_folder) continue;
    if (rule->glob.matches(rule->by_name ? name : path.substr(folder_.size())))
      return !rule->negated;
  }
  return std::nullopt;
}

}  // namespace sable::tools
