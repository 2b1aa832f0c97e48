// What one command by hand changes in its writable folders: kept apart, shown, then applied or
// dropped as a whole.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/terminal/style.h"
#include "sandbox/sandbox.h"

namespace sable::runtime {

/// Transactions on all writable folders of a policy. Their stores lie in `HOME/transactions/`, in a
/// folder that is locked as long as this lives; what a crash leaves there, the next one that begins
/// brings to its end.
class KeptApart {
 public:
  enum class Apply { ask, yes, no };

  /// Puts a transaction on each writable folder of `policy`. Errors: invalid_input (no writable
  /// folder), io, and those of sandbox::Transaction.
  static Result<KeptApart> begin(const std::filesystem::path& home, sandbox::Policy& policy);
  KeptApart(KeptApart&&) = default;
  ~KeptApart();

  /// Prints the changes to standard error, diffs of text included, and applies or drops them.
  /// `ask`: the person at the terminal; without one they are dropped, and that is said. `yes`: no
  /// protected name may be among them. Returns whether they were applied: each folder's as a whole.
  Result<bool> settle(Apply apply, const Style& style);

 private:
  KeptApart(std::filesystem::path folder, UniqueFd lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}

  std::filesystem::path folder_;
  UniqueFd lock_;
  std::vector<sandbox::Transaction> transactions_;
  bool unfinished_ = false;  ///< part of it is applied; the rest is for the next one that begins
};

}  // namespace sable::runtime
