#include "memory/commit_thread.h"

#include <sqlite3.h>

#include "memory/out_of_memory.h"
#include "memory/wal_room.h"

namespace sable::memory {

namespace {

// Changes in one transaction: enough that the sync no longer matters, few enough that the first of
// them does not wait long for the last.
constexpr size_t kBatchMax = 512;

// The write-ahead log is moved into the database when the queue is empty and it has this many
// pages, or at the second figure in any case.
constexpr int kCheckpointPagesIdle = 1000;
constexpr int kCheckpointPagesBusy = 8000;

// A program that commits only a few times does not gain by room in the log.
constexpr int kBatchesBeforeRoom = 4;

/// Errors after which the same connection may go on: it knows that nothing of the transaction is in
/// the log. After any other (a failed sync above all) the state of the file is in doubt.
bool leaves_connection_usable(ErrorCode code) {
  return code == ErrorCode::exhausted || code == ErrorCode::invalid_input;
}

}  // namespace

Result<std::unique_ptr<CommitThread>> CommitThread::start(std::filesystem::path file, Log log) {
  SABLE_TRY(auto database, LogDatabase::open(file, OpenMode::read_write));
  return std::unique_ptr<CommitThread>(
      new CommitThread(std::move(file), std::move(database), std::move(log)));
}

CommitThread::CommitThread(std::filesystem::path file, LogDatabase database, Log log)
    : file_(std::move(file)), log_(std::move(log)), database_(std::move(database)) {
  thread_ = std::thread([this] { loop(); });
}

CommitThread::~CommitThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CommitThread::submit(std::unique_ptr<Change> change) {
  Batch one;
  one.push_back(std::move(change));
  {
    const std::lock_guard lock(mutex_);
    queue_.splice(queue_.end(), one);
  }
  changed_.notify_one();
}

void CommitThread::loop() {
  Batch batch;
  while (take(batch)) {
    carry_out(batch);
    batch.clear();
    try {
      checkpoint_if_due();
      make_room_if_idle();
    } catch (const std::bad_alloc&) {
      // Both come again after another commit.
    }
  }
}

/// Waits for changes and takes those that may share a transaction. False at the end.
bool CommitThread::take(Batch& batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  while (!queue_.empty() && batch.size() < kBatchMax) {
    const bool alone = queue_.front()->alone();
    if (alone && !batch.empty()) break;
    batch.splice(batch.end(), queue_, queue_.begin());
    if (alone) break;
  }
  return !batch.empty();
}

void CommitThread::carry_out(Batch& batch) {
  Result<void> committed = fail_out_of_memory();
  bool usable = false;  // where memory ran out, so did perhaps the words for another failure
  try {
    auto outcome = reopen_if_needed();
    if (outcome) outcome = commit_together(batch);
    committed = std::move(outcome);
    usable = committed || leaves_connection_usable(committed.error().code);
  } catch (const std::bad_alloc&) {
  }
  if (!committed) {
    warn("a commit failed", committed.error());
    if (database_) database_->rollback();
  }
  if (!usable) database_.reset();
  for (const auto& change : batch) change->settle(committed);
}

Result<void> CommitThread::commit_together(Batch& batch) {
  if (batch.front()->alone()) {
    batch.front()->make(*database_);
    return {};
  }
  SABLE_TRY_VOID(database_->begin());
  for (const auto& change : batch) {
    SABLE_TRY_VOID(database_->savepoint());
    const bool made = change->make(*database_);
    if (!database_->connection().in_transaction()) {
      // A full disk or an I/O error ends the whole transaction, whoever met it.
      return fail_sqlite(nullptr, sqlite3_errcode(database_->connection().handle()));
    }
    SABLE_TRY_VOID(made ? database_->keep() : database_->undo());
  }
  return database_->commit();
}

Result<void> CommitThread::reopen_if_needed() {
  if (database_) return {};
  SABLE_TRY(auto database, LogDatabase::open(file_, OpenMode::read_write));
  SABLE_TRY_VOID(check_schema(database.connection()));
  database_ = std::move(database);
  return {};
}

void CommitThread::warn(const char* what, const Error& error) {
  try {
    log_.warning(what, {{"error", error.message}});
  } catch (const std::bad_alloc&) {
    // Whoever asked hears of it in any case.
  }
}

bool CommitThread::somebody_waits() {
  const std::lock_guard lock(mutex_);
  return !queue_.empty();
}

/// After the answers: the next commits find room in the write-ahead log.
void CommitThread::make_room_if_idle() {
  if (!database_ || !may_make_room_ || ++n_batches_ < kBatchesBeforeRoom || somebody_waits())
    return;
  const auto room = keep_room_in_wal(*database_);
  if (room) return;
  may_make_room_ = false;
  warn("no room could be made in the write-ahead log", room.error());
  if (!leaves_connection_usable(room.error().code)) database_.reset();
}

void CommitThread::checkpoint_if_due() {
  if (!database_) return;
  const bool busy = somebody_waits();
  const int pages = database_->connection().wal_pages();
  if (pages < wal_pages_checkpointed_) wal_pages_checkpointed_ = 0;  // the log began anew
  if (pages - wal_pages_checkpointed_ < (busy ? kCheckpointPagesBusy : kCheckpointPagesIdle)) {
    return;
  }
  // Passive: it never waits for a reader or another process; what it leaves comes next time.
  int checkpointed = 0;
  const int code = sqlite3_wal_checkpoint_v2(database_->connection().handle(), nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, nullptr, &checkpointed);
  if (code == SQLITE_OK) {
    wal_pages_checkpointed_ = checkpointed;
  } else {
    warn("a checkpoint failed", fail_sqlite(database_->connection().handle(), code).value());
  }
}

}  // namespace sable::memory
