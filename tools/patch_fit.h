// Where the hunks of a patch belong in a file's present text.
#pragma once

#include <string>
#include <vector>

#include "tools/edit_match.h"
#include "tools/patch.h"

namespace sable::tools {

/// The whole change of one file, or why it cannot be made.
struct PatchFit {
  std::vector<Replacement> replacements;  ///< in order, not overlapping
  std::vector<std::string> tolerated;     ///< what differed from the patch, in words; empty: exact
  std::vector<std::string> problems;      ///< one a hunk that found no place; then nothing is made
};

/// Finds every hunk one single place. A hunk belongs where its header says when its old lines are
/// exactly there; else where they are the only time, behind the hunk before it (or, if they are
/// nowhere there, before it). Anchors name the first place behind them. Only when the lines are
/// nowhere exactly, one of these is tolerated, each for one single place: white space at line ends;
/// an indentation that differs everywhere in the same way, which added lines then follow; one or
/// two lines of context that differ at the hunk's edges, while three lines with words still agree.
/// Several places are a problem that names them, never a guess. Bounded in time.
PatchFit fit_hunks(const EditableText& file, const std::vector<PatchHunk>& hunks);

}  // namespace sable::tools
