// Owning a session: the lease, what it shares with the changes under way on it, how it is begun
// and how it is taken over.
#pragma once

#include <atomic>
#include <memory>

#include "memory/home.h"
#include "memory/log_database.h"
#include "memory/session_lock.h"

namespace sable::memory {

/// What a lease and the changes under way on it share; the lock goes when the last of them does.
struct Ownership {
  std::string session;
  int64_t fence;
  std::atomic<Seq> last_seq;
  SessionLock lock;
  Seq newest_made = 0;  ///< in the transaction under way; the store thread's

  Ownership(const SessionRow& row, SessionLock held);

  /// On the store thread, after a commit. Of several appends in one commit the last is noted in the
  /// lock file.
  void acknowledge(const SessionView& view) noexcept;
};

class OwnedSession : public Lease {
 public:
  explicit OwnedSession(std::shared_ptr<Ownership> ownership) : ownership_(std::move(ownership)) {}
  const std::string& session() const override { return ownership_->session; }
  Seq last_seq() const override { return ownership_->last_seq; }
  const std::shared_ptr<Ownership>& ownership() const { return ownership_; }

 private:
  std::shared_ptr<Ownership> ownership_;
};

/// A session that is being taken: what is acknowledged once the transaction is durable.
struct Taking {
  std::shared_ptr<Ownership> ownership;
  SessionView view;

  std::unique_ptr<Lease> own(SessionRow row, SessionLock lock);
  void acknowledge() const { ownership->acknowledge(view); }
};

// Inside a transaction.

/// A fresh session with its first event.
Result<std::unique_ptr<Lease>> make_session(LogDatabase& database, const Home& home,
                                            const SessionStart& start, WallTime time,
                                            Taking& taking);

/// Ownership of an existing one, after its newest events have been compared with what its last
/// owner acknowledged.
Result<std::unique_ptr<Lease>> take_over(LogDatabase& database, const Home& home,
                                         const std::string& session, Taking& taking);

}  // namespace sable::memory
