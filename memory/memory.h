// Durable state: the event log of sessions. The log is the truth; all else is derived from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/asio.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "memory/event.h"
#include "memory/file_checkpoints.h"
#include "memory/rewind.h"
#include "memory/snapshots.h"
#include "memory/task_state.h"

namespace sable::memory {

/// What a session is for; becomes its first event, "session.started".
struct SessionStart {
  std::string title;                        ///< first words of the task
  std::filesystem::path working_directory;  ///< the repository, absolute
  std::string agent;                        ///< name of the agent's configuration
  std::string model;                        ///< provider and model, for people
  Json details = Json::object();            ///< policy, limits, versions
};

/// A row of the list, projected from the log.
struct SessionInfo {
  std::string id;
  std::string title;
  std::filesystem::path working_directory;
  std::string agent, model;
  std::string status;  ///< "running", "idle", "failed", "interrupted"
  WallTime created, updated;
  Seq n_events = 0;
  uint64_t input_tokens = 0, output_tokens = 0;
  std::optional<int> owner_pid;  ///< the live process that may write it, if any
  std::string parent;            ///< the session it was forked from, or empty
  Seq parent_seq = 0;            ///< the last event they share
};

/// An event that holds what was searched for.
struct SearchHit {
  std::string session, title;
  Seq seq = 0;
  WallTime time;
  std::string type;
  std::string excerpt;  ///< one line around it, UTF-8
};

/// Which sessions may go: those without a live owner, oldest first, until what is left fits.
struct Retention {
  /// Since the session's newest event. Nothing goes by age while the newest event of all sessions
  /// is older than this: the clock may have jumped.
  std::optional<std::chrono::hours> age_max;
  std::optional<uint64_t> bytes_max;  ///< of all events' data and all kept outputs together
};

/// A session that a policy no longer keeps.
struct ExpiredSession {
  std::string id, title;
  WallTime updated;    ///< its newest event
  uint64_t bytes = 0;  ///< of its events' data and its kept outputs
};

/// What an exported session holds.
struct ExportReport {
  Seq n_events = 0;
  uint64_t n_checkpoint_objects = 0;
  std::string files_left_out;  ///< why its file checkpoints are not in it; empty: they are
};

/// What was left by processes that died, and has been taken away.
struct Swept {
  uint64_t n_sessions = 0;     ///< half removed, or never filled
  uint64_t n_blobs = 0;        ///< that nothing names
  uint64_t n_checkpoints = 0;  ///< file checkpoints of sessions that do not exist
  uint64_t n_snapshots = 0;    ///< the same of cache snapshots
  bool nothing() const { return n_sessions + n_blobs + n_checkpoints + n_snapshots == 0; }
};

/// The right to append to one session: one at a time over all processes (a lock that dies with its
/// process, and a fencing number that a stale owner's writes fail on). Released on destruction.
class Lease {
 public:
  virtual ~Lease() = default;
  virtual const std::string& session() const = 0;
  virtual Seq last_seq() const = 0;  ///< newest durable event
};

struct StoreOptions {
  const Clock* clock = nullptr;  ///< system_clock() if null
  Log log = Log::none();
};

/// The database under one home, `HOME/sable.db` and what lies beside it. Several processes may open
/// the same home. Writes go through one thread with group commit; the awaitables complete on the
/// executor of the caller's coroutine. Errors: exhausted (disk full: what was acknowledged stays,
/// writing may be tried again), corrupt (what was lost, what to run), unsupported (newer schema,
/// network file system, read-only), io.
class Store {
 public:
  /// Creates the home if it is missing. Recovers from an unclean stop.
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& home,
                                             StoreOptions options = {});
  /// Finishes what was accepted and joins the thread.
  virtual ~Store() = default;

  /// The folder, for what else lies in it: SnapshotStore, FileCheckpoints.
  virtual const std::filesystem::path& home() const = 0;

  /// A fresh session with its first event committed.
  virtual asio::awaitable<Result<std::unique_ptr<Lease>>> create_session(SessionStart start) = 0;

  /// Ownership of an existing session. Errors: not_found; denied when another process owns it
  /// (names the process id and what can be done: attach or fork).
  virtual asio::awaitable<Result<std::unique_ptr<Lease>>> acquire(std::string session) = 0;

  /// Appends events as one atomic step. When it returns, they are durable and only then may anyone
  /// be shown them. Errors leave the log as it was; only where the disk failed while they were
  /// synced, whether they are durable is known when the home is opened again. A lease that lost its
  /// session gets denied.
  /// Cancellation does not undo an append that was accepted: it waits for the commit.
  virtual asio::awaitable<Result<std::vector<Event>>> append(Lease& lease,
                                                             std::vector<NewEvent> events) = 0;

  /// Events `from`.. in order, at most `n_max`; the hash chain is checked on the way.
  virtual asio::awaitable<Result<std::vector<Event>>> read(std::string session, Seq from,
                                                           size_t n_max) = 0;

  /// Events of one type from `from` on, in order, at most `n_max`: finds the few that matter among
  /// many without reading the others.
  virtual asio::awaitable<Result<std::vector<Event>>> find_events(std::string session,
                                                                  std::string type, Seq from,
                                                                  size_t n_max) = 0;

  /// Events of all sessions with a string that holds `text` (ASCII letters in either case), newest
  /// first, at most `n_max`. Reads all events, on a connection of its own. invalid_input: no text,
  /// or more than 1000 bytes.
  virtual asio::awaitable<Result<std::vector<SearchHit>>> search(std::string text,
                                                                 size_t n_max) = 0;

  /// Newest first. `prefix` filters by id.
  virtual asio::awaitable<Result<std::vector<SessionInfo>>> list(size_t n_max) = 0;

  /// The session whose id is `id` or begins with it (git style). not_found, or invalid_input when
  /// several begin so.
  virtual asio::awaitable<Result<SessionInfo>> find(std::string id) = 0;

  /// Tool calls of a session that were started and have no outcome, oldest first: what a crash
  /// left. Each is the "tool.started" event.
  virtual asio::awaitable<Result<std::vector<Event>>> unfinished_calls(std::string session) = 0;

  /// Keeps a large payload by content (temporary file, sync, rename) and returns its locator
  /// "blob:sha256:HEX"; durable when it returns. One that no event names goes after the store has.
  /// Bounded by what the disk holds.
  virtual asio::awaitable<Result<std::string>> put_blob(std::string bytes) = 0;
  virtual asio::awaitable<Result<std::string>> get_blob(std::string locator) = 0;

  /// Deletes a session's events from the file, not only from the list, and the blobs, snapshots and
  /// file checkpoints that only it needed; leaves a tombstone (id, count, last hash). Errors:
  /// denied while a process owns it.
  /// One that is cut off is finished by the next start that finds the home unused, or by sweep().
  virtual asio::awaitable<Result<void>> remove(std::string session) = 0;

  /// Takes away what removals, forks, imports and writers left that were cut off: compares every
  /// blob, file checkpoint and snapshot with the log. What belongs to a live process stays.
  virtual asio::awaitable<Result<Swept>> sweep() = 0;

  /// A new session with copies of events 1..at of another one and "session.forked" {from, seq, id}
  /// after them, owned by the caller. The other is only read; it may have an owner. Errors:
  /// not_found; invalid_input when there is no event `at`.
  virtual asio::awaitable<Result<std::unique_ptr<Lease>>> fork(std::string session, Seq at) = 0;

  /// Writes a session with its blobs and file checkpoints to one file (docs/durability.md),
  /// replacing it atomically.
  virtual asio::awaitable<Result<ExportReport>> export_session(std::string session,
                                                               std::filesystem::path file) = 0;

  /// Reads such a file, which may be anybody's; every hash is checked and memory is bounded. The
  /// session keeps its id unless that is taken; returns the id. After an error nothing is left but
  /// what the next lone start takes away. Errors: corrupt, unsupported (newer format), exhausted,
  /// io.
  virtual asio::awaitable<Result<std::string>> import_session(std::filesystem::path file) = 0;

  /// What a policy does not keep, oldest first. Changes nothing.
  virtual asio::awaitable<Result<std::vector<ExpiredSession>>> expired(Retention policy) = 0;

  /// Removes what a policy no longer keeps, in transactions so short that others hardly wait;
  /// returns what went. Gives up soon after `stop` (cancelled, where nothing had gone by then); a
  /// removal that was under way is finished as sweep() says.
  virtual asio::awaitable<Result<std::vector<ExpiredSession>>> retain(
      Retention policy, std::stop_token stop = {}) = 0;

  /// Rewrites the file when more than half of it is free; holds up all writing meanwhile. False
  /// when it is not worth it, or a disk is too full for it.
  virtual asio::awaitable<Result<bool>> shrink() = 0;
};

/// What a check found. `problems` are sentences for people; empty means sound.
struct HealthReport {
  uint64_t n_sessions = 0, n_events = 0;
  std::vector<std::string> problems;
};

/// Reads everything under a home: pages, hash chains, lists, blobs. Changes nothing; other
/// processes may go on. Takes as long as reading the files does. Errors: io, unsupported.
Result<HealthReport> check(const std::filesystem::path& home);

/// What a repair kept and lost in one session.
struct SalvagedSession {
  std::string id;
  Seq n_kept = 0;
  Seq n_lost = 0;  ///< at least; events after the kept ones of which something is known
};

struct RepairReport {
  bool was_sound = false;          ///< nothing was done
  std::filesystem::path moved_to;  ///< the folder that now holds the damaged files
  bool rebuilt = false;            ///< the database was replaced by what could be salvaged of it
  uint64_t n_events = 0;
  std::vector<SalvagedSession> sessions;
  uint64_t n_blobs_lost = 0;          ///< kept outputs; their sessions say so (event "blobs.lost")
  uint64_t n_objects_lost = 0;        ///< of file checkpoints; rewinds that need them are refused
  uint64_t n_heads_restored = 0;      ///< sessions' newest file checkpoints, named again by the log
  uint64_t n_heads_lost = 0;          ///< the same where no log names one; the next one begins anew
  std::vector<std::string> problems;  ///< what check() said before
  Swept swept;                        ///< done in any case
};

/// Where the database is damaged: salvages the longest valid prefix of each session into a new one,
/// moves the damaged one aside and appends "session.recovered" where events were lost. A sound one
/// is left as it is. Damaged blobs and objects of file checkpoints are moved aside and noted as
/// lost. Then takes away what processes left that died, as sweep() does.
/// Errors: denied while another process uses the home; unsupported for a newer version; io,
/// exhausted.
Result<RepairReport> repair(const std::filesystem::path& home, Log log = Log::none());

/// Derives the session list, open calls and blob references from the events again. Errors: denied
/// while another process uses the home; corrupt when an event does not fit its chain.
Result<void> rebuild_projections(const std::filesystem::path& home);

}  // namespace sable::memory
