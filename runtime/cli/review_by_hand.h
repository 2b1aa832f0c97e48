// Changes that a command by hand made apart: shown, then applied or dropped as a whole.
#pragma once

#include <string>

#include "runtime/cli/commands.h"
#include "runtime/terminal/output.h"
#include "runtime/terminal/style.h"
#include "tools/tools.h"

namespace sable::runtime {

/// What --apply says: ask the person at the terminal (without one they are dropped, and that is
/// said); yes, where no protected name may be among them; no.
enum class Apply { ask, yes, no };

/// --apply of one command.
CLI::Option* add_apply(CLI::App& command, Apply& apply);

/// Shows the changes on standard error, diffs of text included.
class ReviewByHand final : public tools::ChangeReviewer {
 public:
  ReviewByHand(Apply apply, Style style) : apply_(apply), style_(style) {}

  asio::awaitable<tools::Review> review(const tools::ProposedChanges& changes) override;

 private:
  void show(const tools::ProposedChange& change);

  const Apply apply_;
  const Style style_;
  Output output_{2};
};

/// Where calls and commands by hand keep changes apart, in Sable's own folder; what a crash left
/// there is brought to its end, and what cannot be now is told on standard error.
std::filesystem::path place_of_kept_changes(const config::LoadedConfig& loaded);

}  // namespace sable::runtime
