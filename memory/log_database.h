// The tables of the log: what is written in a transaction, and what is asked of them.
#pragma once

#include <functional>

#include "memory/home.h"
#include "memory/schema.h"
#include "memory/session_view.h"
#include "memory/sqlite.h"

namespace sable::memory {

struct SessionRow {
  int64_t number = 0;
  std::string id;
  int64_t fence = 0;
  SessionView view;
};

/// A session that is in no list: it is being filled, or removed.
struct HiddenSession {
  int64_t number = 0;
  std::string id;
  std::string working_directory;  ///< empty where it is not known yet
};

/// Events in one transaction, so that no removal holds up the writer for long.
constexpr size_t kPurgedAtOnce = 4096;

/// One connection with its prepared statements; one thread at a time.
class LogDatabase {
 public:
  /// A read-write connection in WAL mode with full sync, or a reader that never waits for it. The
  /// schema has been checked (check_schema); one of an older version is only read.
  static Result<LogDatabase> open(const std::filesystem::path& file, OpenMode mode);

  Connection& connection() { return connection_; }
  /// Whether sessions have their `data_bytes`: not before version 3 of the schema.
  bool knows_sizes() const { return version_ >= 3; }
  /// Prepared once; `sql` is a literal.
  Result<Statement*> statement(const char* sql) { return statements_.get(connection_, sql); }

  Result<void> begin();   ///< takes the write lock now
  Result<void> commit();  ///< durable when it returns
  void rollback() { connection_.give_up(); }
  // Within a transaction: one change of several that can be undone alone.
  Result<void> savepoint();
  Result<void> keep();
  Result<void> undo();

  // Questions. Those of more than one statement belong inside read_consistently.
  template <class Question>
  auto read_consistently(Question question) -> decltype(question()) {
    SABLE_TRY_VOID(connection_.execute("BEGIN"));
    const Reading reading(connection_);
    return question();
  }
  Result<SessionRow> session(const std::string& id);  ///< exactly this id; not_found
  /// Errors: corrupt when the id and the number do not belong together.
  Result<void> check_seal(const SessionRow& session);
  Result<bool> id_is_taken(const std::string& id);  ///< also by a session that is not visible
  Result<std::vector<std::string>> blobs_of(int64_t number);  ///< digests, sorted
  Result<std::vector<std::string>> ids_beginning(const std::string& prefix, size_t n_max);
  /// All that are complete, by the truth alone: their views are empty.
  Result<std::vector<SessionRow>> all_sessions();
  Result<std::vector<SessionRow>> newest_sessions(size_t n_max);
  Result<void> visit_events(int64_t number, Seq from, size_t n_max,
                            const std::function<Result<void>(const StoredEvent&)>& visit);
  /// Events `from`.. with the hash chain and the count in the list checked. Errors: corrupt.
  Result<std::vector<Event>> events(const SessionRow& session, Seq from, size_t n_max);
  Result<std::vector<Event>> events_of_type(const SessionRow& session, const std::string& type,
                                            Seq from, size_t n_max);
  Result<std::vector<Event>> open_calls(const SessionRow& session);

  // Changes; inside begin() and commit().
  Result<SessionRow> insert_session(const std::string& id, bool complete);
  /// Makes a session that was being filled visible.
  Result<void> complete_session(const SessionRow& session);
  /// A new owner: appends under older fences fail from now on.
  Result<void> raise_fence(SessionRow& session);
  /// Appends and updates everything derived. On an error the caller rolls back.
  Result<std::vector<Event>> append(SessionRow& session, std::vector<NewEvent> events,
                                    WallTime time);
  /// Appends a row as it lies elsewhere (fork, import, salvage), after checking that it continues
  /// the chain. The view is not written yet.
  Result<void> adopt_event(SessionRow& session, const StoredEvent& event);
  /// Forgets what is derived and derives it again. Errors: corrupt.
  Result<void> derive_again(SessionRow& session);
  Result<void> write_view(int64_t number, const SessionView& view);

  // Removal, in steps that each fit a short transaction; repeating one does no harm.
  /// Takes the session from every list and leaves a tombstone. Its events and what it names are
  /// still there.
  Result<void> hide_session(const SessionRow& session, WallTime time);
  /// One that never became visible is to go, too.
  Result<void> condemn_session(int64_t number);
  /// Deletes events of a hidden session, at most `n_max`; true when none are left.
  Result<bool> purge_events(int64_t number, size_t n_max = kPurgedAtOnce);
  /// The last step: nothing knows of the session any more.
  Result<void> erase_session(int64_t number);
  Result<bool> has_tombstone(const std::string& id);
  /// Those that are being filled or removed, by a live process or by one that died.
  Result<std::vector<HiddenSession>> hidden_sessions();

  /// A pin keeps a blob that no event names yet; those of stores that died go at the next lone
  /// start, with their blobs.
  Result<void> pin_blob(const std::string& digest, const std::string& store);
  /// Drops the pins that events of this session have replaced; true when the store has others.
  Result<bool> unpin_named_blobs(const std::string& store, int64_t number);
  Result<std::vector<std::string>> pinned_blobs();
  Result<void> drop_pins();
  /// By a pin, or by a session that is not being removed.
  Result<bool> blob_in_use(const std::string& digest);

 private:
  /// Ends the transaction of a question, also of one that found no memory for its answer.
  class Reading {
   public:
    explicit Reading(Connection& connection) : connection_(connection) {}
    ~Reading() { connection_.give_up(); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

   private:
    Connection& connection_;
  };

  /// The events whose numbers a statement answers, each checked.
  Result<std::vector<Event>> events_named_by(const SessionRow& session, Run& run);
  Result<void> insert_event(int64_t number, const StoredEvent& event);
  Result<void> project(int64_t number, SessionView& view, const Event& event, const Digest& hash,
                       std::string_view data);

  LogDatabase(Connection connection, int64_t version)
      : connection_(std::move(connection)), version_(version) {}

  Connection connection_;
  int64_t version_;  ///< of the schema
  StatementCache statements_;
};

}  // namespace sable::memory
