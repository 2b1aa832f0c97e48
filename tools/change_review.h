// Changes that were kept apart, and whoever decides whether they become real.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/asio.h"
#include "base/result.h"
#include "sandbox/sandbox.h"
#include "tools/file_change.h"

namespace sable::tools {

struct ProposedChange {
  std::filesystem::path root, path;  ///< `path` relative to `root`
  sandbox::Change::Kind kind = sandbox::Change::Kind::created;
  bool protected_name = false;     ///< programs outside the sandbox run or trust it
  std::optional<FileChange> file;  ///< with its diff, of a regular file that is not too large
};

/// Parents before what lies in them.
struct ProposedChanges {
  std::string about;      ///< whose they are and how it ended: "fmt (exit code 0)"
  bool succeeded = true;  ///< what made them
  std::vector<ProposedChange> changes = {};

  bool has_protected() const;
  /// A line for each change, "modified src/a.cpp", and its diff behind it: for people and models,
  /// control characters inert. What does not fit into `bytes_max` is counted at the end.
  std::string text(size_t bytes_max) const;
};

std::string_view name_of(sandbox::Change::Kind kind);

/// What becomes of all of them.
struct Review {
  bool apply = false;
  bool accepts_protected = false;  ///< a person saw the protected names among them
  std::string reason;              ///< who decided, or why nobody did: "the user applied them"
};

/// Borrowed for the time of a call.
class ChangeReviewer {
 public:
  virtual ~ChangeReviewer() = default;
  virtual asio::awaitable<Review> review(const ProposedChanges& changes) = 0;
};

/// Changes that were kept apart, after they were applied or dropped.
struct SettledChanges {
  ProposedChanges proposed;
  bool applied = false;
  bool refused = false;  ///< they were to be applied, and something stands against it
  std::string reason;    ///< of the review, or what stands against it; empty: there were none
};

using HeldChanges = std::unique_ptr<sandbox::KeptApart>;

/// Lists what `kept` holds and applies or drops all of it, as `reviewer` decides (null: dropped);
/// where nothing was changed it is not asked. `proposed` says whose changes they are. Nothing may
/// run in `kept` any more. A protected name that was not accepted, a file that somebody else
/// changed meanwhile, and cancellation drop all of it. Errors: those of sandbox::KeptApart.
asio::awaitable<Result<SettledChanges>> settle_changes(HeldChanges kept, ProposedChanges proposed,
                                                       ChangeReviewer* reviewer,
                                                       asio::thread_pool& workers);

}  // namespace sable::tools
