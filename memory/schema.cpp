#include "memory/schema.h"

#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::memory {

namespace {

// The truth: session and event. Everything named *_view, open_call and blob_ref is derived and can
// be rebuilt from the events (rebuild_projections).
constexpr const char* kVersion1 = R"sql(
CREATE TABLE session(
  number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: event keys begin with it
  id TEXT NOT NULL UNIQUE,
  fence INTEGER NOT NULL,                    -- grows with each owner; appends name theirs
  complete INTEGER NOT NULL,                 -- 0 while it is being filled or deleted
  seal BLOB NOT NULL                         -- SHA-256 that ties the id to the number
);
CREATE TABLE event(
  key INTEGER PRIMARY KEY,                   -- session number << 40 | seq
  time INTEGER NOT NULL,                     -- milliseconds since 1970, UTC; information only
  type TEXT NOT NULL,
  version INTEGER NOT NULL,
  data TEXT NOT NULL,                        -- JSON
  hash BLOB NOT NULL                         -- SHA-256 over the previous hash and this row
);
CREATE TABLE removal(session INTEGER PRIMARY KEY);  -- sessions being deleted in this transaction
CREATE TABLE tombstone(
  id TEXT PRIMARY KEY,
  time INTEGER NOT NULL,
  n_events INTEGER NOT NULL,
  head BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE session_view(
  session INTEGER PRIMARY KEY REFERENCES session(number),
  n_events INTEGER NOT NULL,
  head BLOB NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  status TEXT NOT NULL,
  title TEXT NOT NULL,
  working_directory TEXT NOT NULL,
  agent TEXT NOT NULL,
  model TEXT NOT NULL,
  parent TEXT NOT NULL,
  parent_seq INTEGER NOT NULL
);
CREATE TABLE open_call(
  session INTEGER NOT NULL,
  call_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY(session, call_id)
) WITHOUT ROWID;
CREATE TABLE blob_ref(
  digest TEXT NOT NULL,
  session INTEGER NOT NULL,
  PRIMARY KEY(digest, session)
) WITHOUT ROWID;
CREATE INDEX blob_ref_by_session ON blob_ref(session);
CREATE TABLE blob_pin(                       -- stored by a process, not yet named by an event
  digest TEXT NOT NULL,
  store TEXT NOT NULL,
  PRIMARY KEY(digest, store)
) WITHOUT ROWID;
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
WHEN NOT EXISTS(SELECT 1 FROM removal WHERE session = OLD.key >> 40)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
)sql";

// From version 2 on session.complete is -1 while a session is being deleted, and its rows in
// blob_ref and session_view stay until the end, so that whoever finds it knows what else is to go.
// The index finds the few events that a session is asked for when it is taken up or rewound,
// however long it is; the events of other types cost it nothing.
constexpr const char* kVersion2 = R"sql(
CREATE INDEX event_sought ON event(type)
WHERE type = 'session.rewound' OR type = 'files.checkpointed';
)sql";

// What a session's events take is counted as they come, so that retention by size need not read
// them all.
constexpr const char* kVersion3 = R"sql(
ALTER TABLE session_view ADD COLUMN data_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE session_view SET data_bytes = (
  SELECT coalesce(sum(length(CAST(data AS BLOB))), 0) FROM event
  WHERE key BETWEEN session << 40 AND session << 40 | 1099511627775);
)sql";

// Step n brings a file from version n to n + 1. Steps are never edited once released.
constexpr const char* kSteps[] = {kVersion1, kVersion2, kVersion3};
static_assert(std::size(kSteps) == kSchemaVersion);

Result<void> apply_steps(Connection& connection, int64_t from, int64_t to) {
  for (auto step = static_cast<size_t>(from); step < static_cast<size_t>(to); ++step) {
    SABLE_TRY_VOID(connection.execute(kSteps[step]));
  }
  const auto pragma =
      fmt::format("PRAGMA application_id={}; PRAGMA user_version={}", kApplicationId, to);
  return connection.execute(pragma.c_str());
}

Result<std::vector<std::string>> objects_of(Connection& connection) {
  SABLE_TRY(auto statement, connection.prepare("SELECT type || ' ' || name || ' ' || "
                                               "coalesce(sql, '') FROM sqlite_schema WHERE name "
                                               "NOT LIKE 'sqlite_stat%' ORDER BY type, name"));
  std::vector<std::string> objects;
  Run run(statement);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return objects;
    objects.emplace_back(run.text(0));
  }
}

}  // namespace

Result<void> create_or_migrate(Connection& connection) {
  SABLE_TRY(const auto application, connection.integer("PRAGMA application_id"));
  SABLE_TRY(const auto version, connection.integer("PRAGMA user_version"));
  SABLE_TRY(const auto objects, connection.integer("SELECT count(*) FROM sqlite_schema"));
  const bool empty = application == 0 && version == 0 && objects == 0;
  if (!empty && (application != kApplicationId || version >= kSchemaVersion)) {
    return check_schema(connection);
  }
  if (!empty) {
    SABLE_TRY_VOID(check_schema(connection, SchemaAge::any));
  } else {
    SABLE_TRY_VOID(connection.execute("PRAGMA page_size=4096; PRAGMA journal_mode=WAL"));
  }
  SABLE_TRY_VOID(connection.execute("BEGIN EXCLUSIVE"));
  auto applied = apply_steps(connection, version, kSchemaVersion);
  if (applied) applied = connection.execute("COMMIT");
  if (!applied) {
    if (connection.in_transaction()) (void)connection.execute("ROLLBACK");
    return applied;
  }
  return check_schema(connection);
}

Result<void> check_schema(Connection& connection, SchemaAge age) {
  SABLE_TRY(const auto application, connection.integer("PRAGMA application_id"));
  if (application != kApplicationId) {
    return fail(ErrorCode::unsupported, "the file is not a database of Sable");
  }
  SABLE_TRY(const auto version, connection.integer("PRAGMA user_version"));
  if (version > kSchemaVersion || version < 1) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("the database has schema version {}, this program reads up to {}; use a "
                    "newer Sable",
                    version, kSchemaVersion));
  }
  if (version < kSchemaVersion && age == SchemaAge::current) {
    return fail(ErrorCode::unsupported,
                fmt::format("the database has schema version {} and is to be brought up to {}, but "
                            "another process uses it; end that and start again",
                            version, kSchemaVersion));
  }
  SABLE_TRY(auto reference, Connection::open_in_memory());
  SABLE_TRY_VOID(apply_steps(reference, 0, version));
  SABLE_TRY(const auto expected, objects_of(reference));
  SABLE_TRY(const auto found, objects_of(connection));
  if (found != expected) {
    return fail(ErrorCode::corrupt,
                "the database's schema has been altered; run `sable doctor --repair`");
  }
  return {};
}

Result<std::vector<std::string>> page_problems(Connection& connection, PageCheck kind) {
  SABLE_TRY(auto statement,
            connection.prepare(kind == PageCheck::quick ? "PRAGMA quick_check(5)"
                                                        : "PRAGMA integrity_check(5)"));
  std::vector<std::string> problems;
  Run run(statement);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return problems;
    if (run.text(0) != "ok") problems.push_back(to_utf8(run.text(0)));
  }
}

}  // namespace sable::memory
