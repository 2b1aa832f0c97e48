#include "memory/log_database.h"

#include <fmt/format.h>

namespace sable::memory {

Result<LogDatabase> LogDatabase::open(const std::filesystem::path& file, OpenMode mode) {
  SABLE_TRY(auto connection, Connection::open(file, mode));
  if (mode == OpenMode::read_write) {
    SABLE_TRY_VOID(connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"));
  }
  SABLE_TRY(const auto version, connection.integer("PRAGMA user_version"));
  return LogDatabase(std::move(connection), version);
}

Result<void> LogDatabase::begin() {
  SABLE_TRY(auto* begin, statement("BEGIN IMMEDIATE"));
  return Run(*begin).finish();
}

Result<void> LogDatabase::commit() {
  SABLE_TRY(auto* commit, statement("COMMIT"));
  return Run(*commit).finish();
}

Result<void> LogDatabase::savepoint() {
  SABLE_TRY(auto* start, statement("SAVEPOINT change"));
  return Run(*start).finish();
}

Result<void> LogDatabase::keep() {
  SABLE_TRY(auto* release, statement("RELEASE change"));
  return Run(*release).finish();
}

Result<void> LogDatabase::undo() {
  return connection_.execute("ROLLBACK TO change; RELEASE change");
}

Result<SessionRow> LogDatabase::insert_session(const std::string& id, bool complete) {
  SABLE_TRY(const auto last,
            connection_.integer("SELECT coalesce(max(seq), 0) FROM sqlite_sequence"));
  SABLE_TRY(auto* insert, statement("INSERT INTO session(number, id, fence, complete, seal) "
                                    "VALUES(?, ?, 1, ?, ?)"));
  SessionRow row{.number = last + 1, .id = id, .fence = 1};
  const Digest seal = session_seal(row.number, id);
  SABLE_TRY_VOID(Run(*insert)
                     .bind(row.number)
                     .bind(id)
                     .bind(int64_t{complete})
                     .bind(std::span<const uint8_t>(seal))
                     .finish());
  if (complete) {
    SABLE_TRY_VOID(write_view(row.number, row.view));
  }
  return row;
}

Result<void> LogDatabase::complete_session(const SessionRow& session) {
  SABLE_TRY(auto* update, statement("UPDATE session SET complete = 1 WHERE number = ?"));
  SABLE_TRY_VOID(Run(*update).bind(session.number).finish());
  return write_view(session.number, session.view);
}

Result<void> LogDatabase::raise_fence(SessionRow& session) {
  SABLE_TRY(auto* update, statement("UPDATE session SET fence = ? WHERE number = ?"));
  ++session.fence;
  return Run(*update).bind(session.fence).bind(session.number).finish();
}

Result<std::vector<Event>> LogDatabase::append(SessionRow& session, std::vector<NewEvent> events,
                                               WallTime time) {
  std::vector<Event> appended;
  appended.reserve(events.size());
  for (NewEvent& next : events) {
    SABLE_TRY(const auto text, render_data(next));
    Event event{session.id,   session.view.n_events + 1, time, std::move(next.type),
                next.version, std::move(next.data)};
    if (event.seq > static_cast<Seq>(kSeqMask)) {
      return fail(ErrorCode::exhausted, "the session has no room for another event");
    }
    const Digest hash =
        chain_hash(session.view.head, event.seq, event.type, event.version, event.time, text);
    SABLE_TRY_VOID(insert_event(session.number, {event.seq, event.time.time_since_epoch().count(),
                                                 event.type, event.version, text, hash}));
    SABLE_TRY_VOID(project(session.number, session.view, event, hash, text));
    appended.push_back(std::move(event));
  }
  SABLE_TRY_VOID(write_view(session.number, session.view));
  return appended;
}

Result<void> LogDatabase::adopt_event(SessionRow& session, const StoredEvent& row) {
  Digest hash = session.view.head;
  SABLE_TRY(const auto event, checked_event(session.id, row, session.view.n_events + 1, hash));
  SABLE_TRY_VOID(insert_event(session.number, row));
  return project(session.number, session.view, event, hash, row.data);
}

Result<void> LogDatabase::derive_again(SessionRow& session) {
  for (const char* sql :
       {"DELETE FROM blob_ref WHERE session = ?", "DELETE FROM open_call WHERE session = ?",
        "DELETE FROM session_view WHERE session = ?"}) {
    SABLE_TRY(auto* erase, statement(sql));
    SABLE_TRY_VOID(Run(*erase).bind(session.number).finish());
  }
  session.view = {};
  const auto fold = [&](const StoredEvent& row) -> Result<void> {
    Digest hash = session.view.head;
    SABLE_TRY(const auto event, checked_event(session.id, row, session.view.n_events + 1, hash));
    return project(session.number, session.view, event, hash, row.data);
  };
  SABLE_TRY_VOID(visit_events(session.number, 1, SIZE_MAX, fold));
  return write_view(session.number, session.view);
}

Result<void> LogDatabase::insert_event(int64_t number, const StoredEvent& event) {
  SABLE_TRY(auto* insert, statement("INSERT INTO event(key, time, type, version, data, hash) "
                                    "VALUES(?, ?, ?, ?, ?, ?)"));
  return Run(*insert)
      .bind(event_key(number, event.seq))
      .bind(event.time_ms)
      .bind(event.type)
      .bind(event.version)
      .bind(event.data)
      .bind(event.hash)
      .finish();
}

Result<void> LogDatabase::project(int64_t number, SessionView& view, const Event& event,
                                  const Digest& hash, std::string_view data) {
  const ViewEffects effects = apply_event(view, event, hash, data.size());
  if (!effects.call_started.empty()) {
    SABLE_TRY(auto* insert,
              statement("INSERT OR REPLACE INTO open_call(session, call_id, seq) VALUES(?, ?, ?)"));
    SABLE_TRY_VOID(Run(*insert)
                       .bind(number)
                       .bind(effects.call_started)
                       .bind(static_cast<int64_t>(event.seq))
                       .finish());
  }
  if (!effects.call_ended.empty()) {
    SABLE_TRY(auto* erase, statement("DELETE FROM open_call WHERE session = ? AND call_id = ?"));
    SABLE_TRY_VOID(Run(*erase).bind(number).bind(effects.call_ended).finish());
  }
  for (const std::string& digest : blob_digests_in(data)) {
    SABLE_TRY(auto* insert,
              statement("INSERT OR IGNORE INTO blob_ref(digest, session) VALUES(?, ?)"));
    SABLE_TRY_VOID(Run(*insert).bind(digest).bind(number).finish());
  }
  return {};
}

Result<void> LogDatabase::write_view(int64_t number, const SessionView& view) {
  SABLE_TRY(
      auto* write,
      statement(
          "INSERT INTO session_view(session, n_events, head, created, updated, "
          "input_tokens, output_tokens, status, title, working_directory, agent, "
          "model, parent, parent_seq, data_bytes) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
          "?11, ?12, ?13, ?14, ?15) ON CONFLICT(session) DO UPDATE SET n_events = ?2, "
          "head = ?3, created = ?4, updated = ?5, input_tokens = ?6, "
          "output_tokens = ?7, status = ?8, title = ?9, working_directory = ?10, "
          "agent = ?11, model = ?12, parent = ?13, parent_seq = ?14, data_bytes = ?15"));
  return Run(*write)
      .bind(number)
      .bind(static_cast<int64_t>(view.n_events))
      .bind(std::span<const uint8_t>(view.head))
      .bind(view.created_ms)
      .bind(view.updated_ms)
      .bind(static_cast<int64_t>(view.input_tokens))
      .bind(static_cast<int64_t>(view.output_tokens))
      .bind(view.status)
      .bind(view.title)
      .bind(view.working_directory)
      .bind(view.agent)
      .bind(view.model)
      .bind(view.parent)
      .bind(static_cast<int64_t>(view.parent_seq))
      .bind(static_cast<int64_t>(view.data_bytes))
      .finish();
}

}  // namespace sable::memory
