// One file per owned session: its lock says who may write, its content who that is and how far the
// log was acknowledged.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/memory.h"

namespace sable::memory {

/// The newest event that was acknowledged. Written without a sync after each commit, so it never
/// runs ahead of the disk; after the death of a process it still tells what the database must hold.
struct AcknowledgedHead {
  Seq seq = 0;
  Digest hash{};
};

/// Holds HOME/locks/ID. Released, and the file removed, on destruction.
class SessionLock {
 public:
  /// Errors: denied when a live process holds it (names the process and what can be done).
  static Result<SessionLock> acquire(const std::filesystem::path& locks,
                                     const std::string& session);

  SessionLock(SessionLock&& other) noexcept = default;
  SessionLock& operator=(SessionLock&& other) = delete;
  ~SessionLock();

  /// What a previous owner that died left behind.
  const std::optional<AcknowledgedHead>& left_behind() const { return left_behind_; }

  /// From here on the file tells of this process. Failures are ignored: it is a second witness
  /// only.
  void record(int64_t fence, const AcknowledgedHead& head);

  /// What the file tells counts no more: the session is gone.
  void discard() { ours_ = true; }

 private:
  SessionLock() = default;
  std::filesystem::path file_;
  UniqueFd fd_;
  std::optional<AcknowledgedHead> left_behind_;
  bool ours_ = false;  // content is ours, so nothing is lost when the file goes
};

/// Whether a process holds the session now, also one that has not said yet who it is.
bool is_owned(const std::filesystem::path& locks, const std::string& session);

/// The process that holds the session now, if any.
std::optional<int> live_owner(const std::filesystem::path& locks, const std::string& session);

/// Sessions with a lock file, held or left behind.
std::vector<std::string> sessions_with_lock_file(const std::filesystem::path& locks);

/// What the owner of a session, alive or dead, recorded as acknowledged.
std::optional<AcknowledgedHead> recorded_head(const std::filesystem::path& locks,
                                              const std::string& session);

}  // namespace sable::memory
