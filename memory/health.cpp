// `check`: reads everything and compares; changes nothing.
#include "memory/health.h"

#include <fmt/format.h>

#include "base/text.h"
#include "memory/blob_files.h"
#include "memory/log_database.h"
#include "memory/session_lock.h"

namespace sable::memory {

namespace {

using Heads = std::map<std::string, AcknowledgedHead>;

/// What the events of one session say, folded apart from the tables that should say the same.
struct Fold {
  SessionView view;
  std::map<std::string, Seq> open_calls;
  std::vector<std::string> blobs;
  std::set<std::string> lost_blobs;
  ToldCheckpoints checkpoints;

  Result<void> add(const std::string& session, const StoredEvent& row) {
    Digest hash = view.head;
    SABLE_TRY(const auto event, checked_event(session, row, view.n_events + 1, hash));
    const ViewEffects effects = apply_event(view, event, hash, row.data.size());
    if (!effects.call_started.empty()) open_calls[effects.call_started] = event.seq;
    if (!effects.call_ended.empty()) open_calls.erase(effects.call_ended);
    for (auto& digest : blob_digests_in(row.data)) blobs.push_back(std::move(digest));
    checkpoints.take(event);
    if (event.type == kBlobsLost && event.data.is_object() && event.data.contains("digests")) {
      for (const auto& digest : event.data["digests"]) {
        if (digest.is_string()) lost_blobs.insert(digest.get<std::string>());
      }
    }
    return {};
  }
};

Result<std::map<std::string, Seq>> open_calls_in_table(LogDatabase& database, int64_t number) {
  SABLE_TRY(auto* select,
            database.statement("SELECT call_id, seq FROM open_call WHERE session = ?"));
  std::map<std::string, Seq> calls;
  Run run(*select);
  run.bind(number);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return calls;
    calls[std::string(run.text(0))] = static_cast<Seq>(run.integer(1));
  }
}

/// Problems of one session; an error of its own when its rows cannot be read.
Result<void> check_session(LogDatabase& database, const SessionRow& row, const Heads& heads,
                           const std::filesystem::path& blobs, Health& health) {
  SABLE_TRY_VOID(database.check_seal(row));
  Fold fold;
  SABLE_TRY_VOID(database.visit_events(
      row.number, 1, SIZE_MAX, [&](const StoredEvent& event) { return fold.add(row.id, event); }));
  if (!database.knows_sizes()) fold.view.data_bytes = row.view.data_bytes;
  health.report.n_events += fold.view.n_events;
  const auto say = [&](std::string_view text) {
    health.report.problems.push_back(fmt::format("session {}: {}", row.id, text));
  };
  const auto problem = [&](std::string_view text) {
    say(text);
    health.log_sound = false;
  };
  if (fold.view.n_events != row.view.n_events) {
    problem(fmt::format("{} events are there, {} were acknowledged", fold.view.n_events,
                        row.view.n_events));
  } else if (!(fold.view == row.view)) {
    problem("its row in the list does not agree with its events");
  }
  SABLE_TRY(const auto calls, open_calls_in_table(database, row.number));
  if (calls != fold.open_calls) problem("its open calls do not agree with its events");
  std::sort(fold.blobs.begin(), fold.blobs.end());
  fold.blobs.erase(std::unique(fold.blobs.begin(), fold.blobs.end()), fold.blobs.end());
  SABLE_TRY(const auto named, database.blobs_of(row.number));
  if (named != fold.blobs) problem("its list of blobs does not agree with its events");
  for (const auto& digest : fold.blobs) {
    const auto bytes = read_blob_in_pieces(
        blobs, digest, [](uint64_t) { return Result<void>(); },
        [](std::string_view) { return Result<void>(); });
    if (bytes) continue;
    if (bytes.error().code == ErrorCode::not_found && fold.lost_blobs.contains(digest)) continue;
    say(bytes.error().message);
    health.lost_blobs[digest].insert(row.id);
  }
  fold.checkpoints.working_directory = fold.view.working_directory;
  health.told_checkpoints[row.id] = std::move(fold.checkpoints);
  if (const auto head = heads.find(row.id);
      head != heads.end() && head->second.seq > fold.view.n_events) {
    problem(fmt::format("events {} to {} were acknowledged and are lost", fold.view.n_events + 1,
                        head->second.seq));
  }
  return {};
}

Result<void> check_log(LogDatabase& database, const Home& home, const Heads& heads,
                       Health& health) {
  SABLE_TRY_VOID(check_schema(database.connection(), SchemaAge::any));
  const auto problem = [&](std::string text) {
    health.report.problems.push_back(std::move(text));
    health.log_sound = false;
  };
  SABLE_TRY(auto pages, page_problems(database.connection(), PageCheck::full));
  for (auto& page : pages) problem("pages: " + std::move(page));
  SABLE_TRY(const auto sessions, database.newest_sessions(SIZE_MAX));
  health.report.n_sessions = sessions.size();
  for (const auto& session : sessions) {
    if (auto checked = check_session(database, session, heads, home.blobs(), health); !checked) {
      problem(checked.error().message);
    }
  }
  SABLE_TRY(const auto unlisted,
            database.connection().integer("SELECT count(*) FROM session WHERE complete = 1 AND "
                                          "number NOT IN (SELECT session FROM session_view)"));
  if (unlisted > 0) problem(fmt::format("{} sessions are missing from the list", unlisted));
  SABLE_TRY(const auto strays,
            database.connection().integer("SELECT count(*) FROM event WHERE (key >> 40) NOT IN "
                                          "(SELECT number FROM session)"));
  if (strays > 0) problem(fmt::format("{} events belong to no session", strays));
  return {};
}

}  // namespace

Result<Health> look_at_home(const std::filesystem::path& path) {
  SABLE_TRY(auto home, Home::open(path));
  SABLE_TRY_VOID(home.share());
  return look_at(home);
}

Result<Health> look_at(const Home& home) {
  Health health;
  std::error_code error;
  if (!std::filesystem::exists(home.database(), error)) return health;

  // Read before the database is: what they name must be in it by then.
  Heads heads;
  for (const auto& session : sessions_with_lock_file(home.locks())) {
    if (const auto head = recorded_head(home.locks(), session)) heads[session] = *head;
  }
  const auto look = [&]() -> Result<void> {
    SABLE_TRY(auto database, LogDatabase::open(home.database(), OpenMode::read_only));
    return database.read_consistently(
        [&]() -> Result<void> { return check_log(database, home, heads, health); });
  };
  if (auto looked = look(); !looked) {
    if (looked.error().code != ErrorCode::corrupt) return fail(looked.error());
    health.report.problems.push_back(looked.error().message);
    health.log_sound = false;
  }
  SABLE_TRY(health.wrong_heads, wrong_heads(home, health.told_checkpoints));
  std::set<std::filesystem::path> passed_over;
  for (const auto& head : health.wrong_heads) {
    const auto file = head.folder / "sessions" / head.session;
    health.report.problems.push_back(fmt::format(
        "{}: the file that names the newest file checkpoint {}", to_utf8(file.string()), head.how));
    passed_over.insert(file);
  }
  SABLE_TRY(health.checkpoints, check_checkpoints(home.path(), passed_over));
  for (const auto& damage : health.checkpoints) {
    health.report.problems.push_back(fmt::format(
        "file checkpoints of {}: {} objects are damaged or missing; sessions {} cannot be taken "
        "back to moments that need them",
        to_utf8(damage.root), damage.lost.size(), fmt::join(damage.sessions, ", ")));
  }
  return health;
}

Result<HealthReport> check(const std::filesystem::path& path) {
  SABLE_TRY(auto health, look_at_home(path));
  return std::move(health.report);
}

}  // namespace sable::memory
