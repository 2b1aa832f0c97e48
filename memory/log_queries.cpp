// What is asked of the log: sessions by name, events in order with their chain checked.
#include <fmt/format.h>

#include "memory/log_database.h"

namespace sable::memory {

namespace {

#define SABLE_SESSION_COLUMNS(data_bytes)                                                      \
  "SELECT s.number, s.id, s.fence, v.n_events, v.head, v.created, v.updated, v.input_tokens, " \
  "v.output_tokens, v.status, v.title, v.working_directory, v.agent, v.model, v.parent, "      \
  "v.parent_seq, " data_bytes                                                                  \
  " FROM session s JOIN session_view v ON v.session = s.number WHERE s.complete = 1 "

#define SABLE_NEWEST_FIRST "ORDER BY v.updated DESC, s.number DESC LIMIT ?"

Result<SessionRow> session_from(const Run& run) {
  SessionRow row{run.integer(0), std::string(run.text(1)), run.integer(2), {}};
  SessionView& view = row.view;
  view.n_events = static_cast<Seq>(run.integer(3));
  const auto head = run.bytes(4);
  if (head.size() != view.head.size() || run.integer(3) < 0) {
    return fail(ErrorCode::corrupt, fmt::format("session {}: its row in the list is damaged; run "
                                                "`sable doctor --repair`",
                                                row.id));
  }
  std::copy(head.begin(), head.end(), view.head.begin());
  view.created_ms = run.integer(5);
  view.updated_ms = run.integer(6);
  view.input_tokens = static_cast<uint64_t>(run.integer(7));
  view.output_tokens = static_cast<uint64_t>(run.integer(8));
  view.status = run.text(9);
  view.title = run.text(10);
  view.working_directory = run.text(11);
  view.agent = run.text(12);
  view.model = run.text(13);
  view.parent = run.text(14);
  view.parent_seq = static_cast<Seq>(run.integer(15));
  view.data_bytes = static_cast<uint64_t>(run.integer(16));
  return row;
}

}  // namespace

Result<SessionRow> LogDatabase::session(const std::string& id) {
  SABLE_TRY(auto* select,
            statement(knows_sizes() ? SABLE_SESSION_COLUMNS("v.data_bytes") "AND s.id = ?"
                                    : SABLE_SESSION_COLUMNS("0") "AND s.id = ?"));
  Run run(*select);
  run.bind(id);
  SABLE_TRY(const bool found, run.next());
  if (!found) return fail(ErrorCode::not_found, fmt::format("no such session: {}", id));
  return session_from(run);
}

Result<void> LogDatabase::check_seal(const SessionRow& session) {
  SABLE_TRY(auto* select, statement("SELECT seal FROM session WHERE number = ?"));
  Run run(*select);
  run.bind(session.number);
  SABLE_TRY(const bool found, run.next());
  const Digest expected = session_seal(session.number, session.id);
  const auto seal = found ? run.bytes(0) : std::span<const uint8_t>();
  if (!std::equal(seal.begin(), seal.end(), expected.begin(), expected.end())) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("session {}: its id is damaged; run `sable doctor --repair`", session.id));
  }
  return {};
}

Result<bool> LogDatabase::id_is_taken(const std::string& id) {
  SABLE_TRY(auto* select, statement("SELECT 1 FROM session WHERE id = ?"));
  Run run(*select);
  run.bind(id);
  return run.next();
}

Result<std::vector<std::string>> LogDatabase::blobs_of(int64_t number) {
  SABLE_TRY(auto* select, statement("SELECT digest FROM blob_ref WHERE session = ? ORDER BY 1"));
  Run run(*select);
  run.bind(number);
  std::vector<std::string> digests;
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return digests;
    digests.emplace_back(run.text(0));
  }
}

Result<std::vector<std::string>> LogDatabase::ids_beginning(const std::string& prefix,
                                                            size_t n_max) {
  SABLE_TRY(auto* select, statement("SELECT id FROM session WHERE id >= ? AND id < ? AND "
                                    "complete = 1 ORDER BY id LIMIT ?"));
  const std::string beyond = prefix + "\x7f";
  Run run(*select);
  run.bind(prefix).bind(beyond).bind(static_cast<int64_t>(n_max));
  std::vector<std::string> ids;
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return ids;
    ids.emplace_back(run.text(0));
  }
}

Result<std::vector<SessionRow>> LogDatabase::all_sessions() {
  SABLE_TRY(auto* select, statement("SELECT number, id, fence FROM session WHERE complete = 1"));
  Run run(*select);
  std::vector<SessionRow> rows;
  while (true) {
    SABLE_TRY(const bool more, run.next());
    if (!more) return rows;
    rows.push_back({run.integer(0), std::string(run.text(1)), run.integer(2), {}});
  }
}

Result<std::vector<SessionRow>> LogDatabase::newest_sessions(size_t n_max) {
  SABLE_TRY(auto* select,
            statement(knows_sizes() ? SABLE_SESSION_COLUMNS("v.data_bytes") SABLE_NEWEST_FIRST
                                    : SABLE_SESSION_COLUMNS("0") SABLE_NEWEST_FIRST));
  Run run(*select);
  run.bind(static_cast<int64_t>(std::min<size_t>(n_max, INT64_MAX)));
  std::vector<SessionRow> rows;
  while (true) {
    SABLE_TRY(const bool more, run.next());
    if (!more) return rows;
    SABLE_TRY(auto row, session_from(run));
    rows.push_back(std::move(row));
  }
}

Result<void> LogDatabase::visit_events(
    int64_t number, Seq from, size_t n_max,
    const std::function<Result<void>(const StoredEvent&)>& visit) {
  if (from > static_cast<Seq>(kSeqMask)) return {};
  SABLE_TRY(auto* select, statement("SELECT key, time, type, version, data, hash FROM event WHERE "
                                    "key BETWEEN ? AND ? ORDER BY key LIMIT ?"));
  Run run(*select);
  run.bind(event_key(number, from))
      .bind(event_key(number, static_cast<uint64_t>(kSeqMask)))
      .bind(static_cast<int64_t>(std::min<size_t>(n_max, INT64_MAX)));
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return {};
    SABLE_TRY_VOID(visit({static_cast<Seq>(run.integer(0) & kSeqMask), run.integer(1), run.text(2),
                          run.integer(3), run.text(4), run.bytes(5)}));
  }
}

Result<std::vector<Event>> LogDatabase::events(const SessionRow& session, Seq from, size_t n_max) {
  from = std::max<Seq>(from, 1);
  std::vector<Event> events;
  const Seq n_events = session.view.n_events;
  if (n_max == 0 || from > n_events) return events;
  const Seq last = n_max > n_events - from ? n_events : from + n_max - 1;

  // The row before the first one carries the hash that the first one continues.
  Digest previous = kChainStart;
  Seq expected = from > 1 ? from - 1 : from;
  const auto take = [&](const StoredEvent& row) -> Result<void> {
    if (expected < from) {
      if (row.seq != expected) return fail_damaged(session.id, expected, "is missing");
      if (row.hash.size() != previous.size()) {
        return fail_damaged(session.id, expected, "is damaged");
      }
      std::copy(row.hash.begin(), row.hash.end(), previous.begin());
    } else {
      SABLE_TRY(auto event, checked_event(session.id, row, expected, previous));
      events.push_back(std::move(event));
    }
    ++expected;
    return {};
  };
  SABLE_TRY_VOID(visit_events(session.number, expected, last - expected + 1, take));
  if (expected != last + 1) return fail_damaged(session.id, expected, "is missing");
  if (last == n_events && previous != session.view.head) {
    return fail_damaged(session.id, last, "is not the one that was acknowledged");
  }
  return events;
}

Result<std::vector<Event>> LogDatabase::events_named_by(const SessionRow& session, Run& run) {
  std::vector<Event> found;
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return found;
    const auto seq = static_cast<Seq>(run.integer(0) & kSeqMask);
    SABLE_TRY(auto event, events(session, seq, 1));
    if (event.empty()) return fail_damaged(session.id, seq, "is missing");
    found.push_back(std::move(event.front()));
  }
}

Result<std::vector<Event>> LogDatabase::events_of_type(const SessionRow& session,
                                                       const std::string& type, Seq from,
                                                       size_t n_max) {
  if (from > session.view.n_events) return std::vector<Event>();
  // Of the types that are sought there is an index, which only a query with their names may use.
  const char* const sql =
      type == "session.rewound"
          ? "SELECT key FROM event INDEXED BY event_sought WHERE key BETWEEN ?1 AND ?2 AND type = "
            "?3 AND type = 'session.rewound' ORDER BY key LIMIT ?4"
      : type == "files.checkpointed"
          ? "SELECT key FROM event INDEXED BY event_sought WHERE key BETWEEN ?1 AND ?2 AND type = "
            "?3 AND type = 'files.checkpointed' ORDER BY key LIMIT ?4"
          : "SELECT key FROM event WHERE key BETWEEN ?1 AND ?2 AND type = ?3 ORDER BY key LIMIT ?4";
  SABLE_TRY(auto* select, statement(sql));
  Run run(*select);
  run.bind(event_key(session.number, from))
      .bind(event_key(session.number, session.view.n_events))
      .bind(type)
      .bind(static_cast<int64_t>(std::min<size_t>(n_max, INT64_MAX)));
  return events_named_by(session, run);
}

Result<std::vector<Event>> LogDatabase::open_calls(const SessionRow& session) {
  SABLE_TRY(auto* select, statement("SELECT seq FROM open_call WHERE session = ? ORDER BY seq"));
  Run run(*select);
  run.bind(session.number);
  return events_named_by(session, run);
}

}  // namespace sable::memory
