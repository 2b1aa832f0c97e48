// The one thread that writes: changes that wait together become durable with one sync.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "memory/log_database.h"

namespace sable::memory {

/// One change to the log. `make` runs inside a transaction that may hold other changes; `settle`
/// runs after the commit and hears whether all of it is durable. Both run on the store thread.
class Change {
 public:
  virtual ~Change() = default;
  /// False: this change failed and is undone alone; settle() follows all the same.
  virtual bool make(LogDatabase& database) = 0;
  virtual void settle(const Result<void>& committed) noexcept = 0;
  /// Runs outside of a transaction, alone (VACUUM, checkpoints).
  virtual bool alone() const { return false; }
};

/// Finishes everything it was given, checkpoints and joins, on destruction. Where memory runs out,
/// the changes of one commit fail with that; the thread goes on.
class CommitThread {
 public:
  static Result<std::unique_ptr<CommitThread>> start(std::filesystem::path file, Log log);
  ~CommitThread();

  void submit(std::unique_ptr<Change> change);  ///< from any thread

 private:
  // A list, because its entries move from one to another without memory of their own.
  using Batch = std::list<std::unique_ptr<Change>>;
  CommitThread(std::filesystem::path file, LogDatabase database, Log log);

  void loop();
  bool take(Batch& batch);
  void carry_out(Batch& batch);
  Result<void> commit_together(Batch& batch);
  Result<void> reopen_if_needed();
  void checkpoint_if_due();
  void make_room_if_idle();
  void warn(const char* what, const Error& error);
  bool somebody_waits();

  const std::filesystem::path file_;
  const Log log_;
  std::optional<LogDatabase> database_;  // none after an error that leaves the connection in doubt
  int wal_pages_checkpointed_ = 0;
  int n_batches_ = 0;
  bool may_make_room_ = true;  // until it fails once

  std::mutex mutex_;
  std::condition_variable changed_;
  Batch queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sable::memory
