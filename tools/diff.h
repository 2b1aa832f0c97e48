// Differences between two lists of lines, and how they are shown.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace sable::tools {

/// Lines [before, before + n_before) of the old text are replaced by [after, after + n_after) of
/// the new.
struct LineChange {
  size_t before = 0, n_before = 0;
  size_t after = 0, n_after = 0;

  friend bool operator==(const LineChange&, const LineChange&) = default;
};

/// The changes that turn `before` into `after`, in order, not touching each other: a shortest
/// script (Myers, "An O(ND) difference algorithm", 1986) unless more than `edits_max` lines differ;
/// then the differing middle comes as one change. Memory grows with the square of the edits looked
/// at.
std::vector<LineChange> diff_lines(std::span<const std::string_view> before,
                                   std::span<const std::string_view> after,
                                   size_t edits_max = 1'000);

}  // namespace sable::tools
