// The protected paths of each writable root that was granted, kept from call to call.
#pragma once

#include <memory>
#include <mutex>

#include "sandbox/host.h"
#include "sandbox/protected_paths.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

using ProtectedIndexes = std::vector<std::shared_ptr<ProtectedIndex>>;

/// Its calls may come from any thread.
class ProtectedRoots {
 public:
  /// One index for each writable folder of the policy.
  ProtectedIndexes of(const Policy& policy, const Host& host);

 private:
  static constexpr size_t kKept = 32;  // each holds a descriptor and its watches

  const GitUser git_user_ = this_git_user();
  std::mutex mutex_;
  std::map<std::filesystem::path, std::shared_ptr<ProtectedIndex>> known_;
};

/// What they hold now; never null. Looks in short slices, so that a large tree does not hold up the
/// loop. `settings`: held where nothing but a confined command has happened since the last look.
asio::awaitable<std::shared_ptr<const ProtectedPaths>> look_at(
    ProtectedIndexes indexes, GitSettings settings = GitSettings::open);

/// After a call that could not be made: one of them may not be what it was found to be.
void doubt(const ProtectedIndexes& indexes);

}  // namespace sable::sandbox
