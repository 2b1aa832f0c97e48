#include "memory/session_owner.h"

#include <fmt/format.h>

#include "memory/session_id.h"

namespace sable::memory {

namespace {

constexpr Seq kTailCheck = 16;  // events whose chain is checked when a session is taken over

/// The newest events are there and are those that the last owner acknowledged.
Result<void> check_tail(LogDatabase& database, const SessionRow& row,
                        const std::optional<AcknowledgedHead>& acknowledged) {
  const Seq n_events = row.view.n_events;
  const Seq from = n_events > kTailCheck ? n_events - kTailCheck + 1 : 1;
  SABLE_TRY_VOID(database.events(row, from, kTailCheck));
  if (!acknowledged) return {};
  if (acknowledged->seq > n_events) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("session {}: events {} to {} were acknowledged and are lost; run `sable "
                    "doctor --repair` to go on with the rest",
                    row.id, n_events + 1, acknowledged->seq));
  }
  return database.visit_events(
      row.number, acknowledged->seq, 1, [&](const StoredEvent& event) -> Result<void> {
        if (event.seq == acknowledged->seq &&
            std::equal(event.hash.begin(), event.hash.end(), acknowledged->hash.begin(),
                       acknowledged->hash.end())) {
          return {};
        }
        return fail(ErrorCode::corrupt,
                    fmt::format("session {}: event {} is not the one that was acknowledged; run "
                                "`sable doctor --repair`",
                                row.id, acknowledged->seq));
      });
}

}  // namespace

Ownership::Ownership(const SessionRow& row, SessionLock held)
    : session(row.id), fence(row.fence), last_seq(row.view.n_events), lock(std::move(held)) {}

void Ownership::acknowledge(const SessionView& view) noexcept {
  last_seq = view.n_events;
  if (view.n_events < newest_made) return;
  try {
    lock.record(fence, {view.n_events, view.head});
  } catch (const std::bad_alloc&) {
    // The events are durable all the same; the next note tells of them too.
  }
}

std::unique_ptr<Lease> Taking::own(SessionRow row, SessionLock lock) {
  ownership = std::make_shared<Ownership>(row, std::move(lock));
  view = std::move(row.view);
  return std::make_unique<OwnedSession>(ownership);
}

Result<std::unique_ptr<Lease>> make_session(LogDatabase& database, const Home& home,
                                            const SessionStart& start, WallTime time,
                                            Taking& taking) {
  std::string id = make_session_id(time);
  while (true) {
    SABLE_TRY(const bool taken, database.id_is_taken(id));
    if (!taken) break;
    id = make_session_id(time);
  }
  SABLE_TRY(auto lock, SessionLock::acquire(home.locks(), id));
  SABLE_TRY(auto row, database.insert_session(id, /*complete=*/true));
  NewEvent first{"session.started", Json{{"title", start.title},
                                         {"working_directory", start.working_directory.string()},
                                         {"agent", start.agent},
                                         {"model", start.model},
                                         {"details", start.details}}};
  std::vector<NewEvent> events;
  events.push_back(std::move(first));
  SABLE_TRY_VOID(database.append(row, std::move(events), time));
  return taking.own(std::move(row), std::move(lock));
}

Result<std::unique_ptr<Lease>> take_over(LogDatabase& database, const Home& home,
                                         const std::string& session, Taking& taking) {
  SABLE_TRY(auto row, database.session(session));
  SABLE_TRY(auto lock, SessionLock::acquire(home.locks(), row.id));
  SABLE_TRY_VOID(database.check_seal(row));
  SABLE_TRY_VOID(check_tail(database, row, lock.left_behind()));
  SABLE_TRY_VOID(database.raise_fence(row));
  return taking.own(std::move(row), std::move(lock));
}

}  // namespace sable::memory
