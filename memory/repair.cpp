// `repair`: what can be read and proven goes into a new database; the damaged one is kept aside.
#include <cerrno>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "memory/log_database.h"
#include "memory/page_scan.h"
#include "memory/repair_files.h"
#include "memory/replacement.h"
#include "memory/session_lock.h"
#include "memory/session_removal.h"
#include "memory/startup.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

constexpr size_t kRowsPerTransaction = 4096;

void remove_database(const fs::path& file) {
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(file.string() + suffix, ignored);
}

/// A copy to work on, with the write-ahead log folded in as far as SQLite can read it. The damaged
/// original stays untouched.
class WorkingCopy {
 public:
  static Result<WorkingCopy> of(const Home& home) {
    WorkingCopy copy(home.path() / "sable.db.salvage");
    remove_database(copy.file_);
    for (const char* suffix : {"", "-wal"}) {
      const fs::path from = home.database().string() + suffix;
      std::error_code error;
      if (!fs::exists(from, error)) continue;
      fs::copy_file(from, copy.file_.string() + suffix, error);
      if (error) {
        return fail(error == std::errc::no_space_on_device ? ErrorCode::exhausted : ErrorCode::io,
                    fmt::format("{}: cannot be copied: {}", from.string(), error.message()));
      }
    }
    if (auto folded = Connection::open(copy.file_, OpenMode::read_write)) {
      (void)folded->execute("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    return copy;
  }
  WorkingCopy(WorkingCopy&& other) noexcept : file_(std::exchange(other.file_, {})) {}
  WorkingCopy& operator=(WorkingCopy&&) = delete;
  ~WorkingCopy() {
    if (!file_.empty()) remove_database(file_);
  }
  const fs::path& file() const { return file_; }

 private:
  explicit WorkingCopy(fs::path file) : file_(std::move(file)) {}
  fs::path file_;
};

/// How many events the damaged database's own list speaks of, as far as it can still be read.
std::map<std::string, Seq> counts_in_list(const fs::path& file) {
  std::map<std::string, Seq> counts;
  auto database = LogDatabase::open(file, OpenMode::read_only);
  if (!database) return counts;
  if (const auto rows = database->newest_sessions(SIZE_MAX)) {
    for (const auto& row : *rows) counts[row.id] = row.view.n_events;
  }
  return counts;
}

/// Sessions that are being deleted or filled: nothing of them is to come back.
std::set<int64_t> hidden_in(const fs::path& file) {
  auto database = LogDatabase::open(file, OpenMode::read_only);
  if (!database) return {};
  const auto hidden = database->hidden_sessions();
  std::set<int64_t> numbers;
  if (!hidden) return numbers;
  for (const auto& session : *hidden) numbers.insert(session.number);
  return numbers;
}

/// Fills the new database. Commits every few thousand rows; nobody sees it before it is in place.
class Salvage {
 public:
  Salvage(const Home& home, const PageScan& scan, LogDatabase& target, RepairReport& report)
      : home_(home), scan_(scan), target_(target), report_(report) {}

  Result<void> run(const std::map<std::string, Seq>& listed, const std::set<int64_t>& hidden) {
    std::map<int64_t, std::string> sessions = scan_.session_ids();
    for (const EventPlace& place : scan_.events()) {
      // Events whose session row is lost: a first event that proves itself makes them a session.
      const int64_t number = place.key >> kSeqBits;
      if ((place.key & kSeqMask) != 1 || number <= 0 || sessions.count(number)) continue;
      SABLE_TRY(const bool is_first, starts(place));
      if (is_first) sessions[number] = fmt::format("s_recovered_{}", number);
    }
    SABLE_TRY_VOID(target_.begin());
    for (const auto& [number, id] : sessions) {
      if (hidden.count(number)) continue;
      const auto count = listed.find(id);
      SABLE_TRY_VOID(salvage_session(number, id, count == listed.end() ? 0 : count->second));
    }
    return target_.commit();
  }

 private:
  Result<bool> starts(const EventPlace& place) const {
    SABLE_TRY(const auto event, scan_.read(place));
    if (!event) return false;
    Digest previous = kChainStart;
    return checked_event("", row_of(*event, 1), 1, previous).has_value();
  }

  static StoredEvent row_of(const ScannedEvent& event, Seq seq) {
    return {seq, event.time_ms, event.type, event.version, event.data, event.hash};
  }

  Result<void> salvage_session(int64_t number, const std::string& id, Seq listed) {
    const auto by_key = [](const EventPlace& place, int64_t key) { return place.key < key; };
    auto at = std::lower_bound(scan_.events().begin(), scan_.events().end(), event_key(number, 0),
                               by_key);
    const auto end = std::lower_bound(at, scan_.events().end(), event_key(number + 1, 0), by_key);

    SABLE_TRY(auto row, target_.insert_session(id, /*complete=*/true));
    // Several rows may claim one key (old copies of pages); the chain picks the true one.
    for (bool continued = true; continued;) {
      continued = false;
      const int64_t key = event_key(number, row.view.n_events + 1);
      for (at = std::lower_bound(at, end, key, by_key); at != end && at->key == key; ++at) {
        SABLE_TRY(const auto event, scan_.read(*at));
        if (!event) continue;
        Digest head = row.view.head;
        const StoredEvent stored = row_of(*event, row.view.n_events + 1);
        if (!checked_event(id, stored, stored.seq, head)) continue;
        SABLE_TRY_VOID(target_.adopt_event(row, stored));
        continued = true;
        break;
      }
      if (++n_rows_ % kRowsPerTransaction == 0) {
        SABLE_TRY_VOID(target_.write_view(row.number, row.view));
        SABLE_TRY_VOID(target_.commit());
        SABLE_TRY_VOID(target_.begin());
      }
    }
    const auto acknowledged = recorded_head(home_.locks(), id);
    const Seq known = std::max(listed, acknowledged ? acknowledged->seq : 0);
    SalvagedSession salvaged{id, row.view.n_events, 0};
    if (known > salvaged.n_kept) salvaged.n_lost = known - salvaged.n_kept;
    if (salvaged.n_lost == 0 && at != end) {  // rows that follow nothing
      salvaged.n_lost = static_cast<Seq>(std::distance(at, end));
    }
    SABLE_TRY_VOID(target_.write_view(row.number, row.view));
    if (salvaged.n_lost > 0) {
      SABLE_TRY_VOID(tell(row, salvaged));
    }
    report_.n_events += salvaged.n_kept;
    report_.sessions.push_back(std::move(salvaged));
    return {};
  }

  Result<void> tell(SessionRow& row, const SalvagedSession& salvaged) {
    std::vector<NewEvent> events;
    events.push_back({"session.recovered", Json{{"n_kept", salvaged.n_kept},
                                                {"n_lost", salvaged.n_lost},
                                                {"lost_from", salvaged.n_kept + 1}}});
    SABLE_TRY_VOID(target_.append(row, std::move(events), system_clock().wall_now()));
    return {};
  }

  const Home& home_;
  const PageScan& scan_;
  LogDatabase& target_;
  RepairReport& report_;
  size_t n_rows_ = 0;
};

Result<void> sync_file(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(file.string() + ": fsync", errno);
  return {};
}

Result<void> build_replacement(const Home& home, RepairReport& report) {
  SABLE_TRY(const auto copy, WorkingCopy::of(home));
  SABLE_TRY(const auto scan, PageScan::of(copy.file()));
  const fs::path file = home.path() / "sable.db.building";
  remove_database(file);
  {
    const UniqueFd made(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!made) return fail_errno(file.string(), errno);
  }
  {
    SABLE_TRY(auto connection, Connection::open(file, OpenMode::read_write));
    SABLE_TRY_VOID(create_or_migrate(connection));
  }
  {
    SABLE_TRY(auto target, LogDatabase::open(file, OpenMode::read_write));
    Salvage salvage(home, scan, target, report);
    SABLE_TRY_VOID(salvage.run(counts_in_list(copy.file()), hidden_in(copy.file())));
    SABLE_TRY_VOID(target.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  SABLE_TRY_VOID(sync_file(file));
  std::error_code error;
  fs::rename(file, repaired_database(home), error);
  if (error) return fail_errno(file.string(), error.value());
  return sync_folder(home.path());
}

/// Before anything is swept: what no session needs is told by these files.
Result<void> put_checkpoints_right(const Home& home, Health& health, RepairReport& report) {
  if (report.rebuilt) {
    SABLE_TRY(health, look_at(home));  // what is left of the log says now
  }
  if (health.wrong_heads.empty()) return {};
  if (report.moved_to.empty()) {
    SABLE_TRY(report.moved_to, make_damaged_folder(home));
  }
  SABLE_TRY_VOID(put_heads_right(health.wrong_heads, report.moved_to));
  for (const auto& head : health.wrong_heads) {
    ++(head.right ? report.n_heads_restored : report.n_heads_lost);
  }
  SABLE_TRY(health.checkpoints, check_checkpoints(home.path()));
  return {};
}

Result<void> give_up_what_is_lost(LogDatabase& database, const Home& home, const Health& health,
                                  RepairReport& report) {
  report.n_blobs_lost = health.lost_blobs.size();
  for (const auto& damage : health.checkpoints) report.n_objects_lost += damage.lost.size();
  if (report.n_blobs_lost + report.n_objects_lost == 0) return {};
  if (report.moved_to.empty()) {
    SABLE_TRY(report.moved_to, make_damaged_folder(home));
  }
  SABLE_TRY_VOID(give_up_blobs(database, home, health, report.moved_to));
  return give_up_objects(health, report.moved_to);
}

}  // namespace

Result<RepairReport> repair(const fs::path& path, Log log) {
  RepairReport report;
  SABLE_TRY(auto home, Home::open_alone(path));
  // What an earlier repair came to before it was cut off is what there is to look at.
  SABLE_TRY(report.moved_to, finish_replacement(home));
  SABLE_TRY(auto health, look_at(home));
  report.problems = health.report.problems;
  report.n_events = health.report.n_events;
  report.was_sound = report.problems.empty();
  if (!health.log_sound) {
    report.rebuilt = true;
    report.n_events = 0;
    SABLE_TRY_VOID(build_replacement(home, report));
    SABLE_TRY(report.moved_to, finish_replacement(home));
    for (const auto& session : sessions_with_lock_file(home.locks())) {
      // What the last owner acknowledged is told in session.recovered now.
      std::error_code ignored;
      fs::remove(home.locks() / session, ignored);
    }
    log.warning("the database was repaired",
                {{"events", report.n_events}, {"damaged", report.moved_to.string()}});
  }
  SABLE_TRY_VOID(put_checkpoints_right(home, health, report));
  SABLE_TRY_VOID(prepare_database(home, log));
  SABLE_TRY(auto database, LogDatabase::open(home.database(), OpenMode::read_write));
  SABLE_TRY_VOID(give_up_what_is_lost(database, home, health, report));
  SABLE_TRY(report.swept, sweep_all(database, home));
  return report;
}

Result<void> rebuild_projections(const fs::path& path) {
  SABLE_TRY(auto home, Home::open_alone(path));
  SABLE_TRY(auto database, LogDatabase::open(home.database(), OpenMode::read_write));
  SABLE_TRY_VOID(check_schema(database.connection()));
  SABLE_TRY(auto sessions, database.all_sessions());
  for (auto& session : sessions) {
    SABLE_TRY_VOID(database.begin());
    auto derived = database.derive_again(session);
    if (derived) derived = database.commit();
    if (!derived) {
      database.rollback();
      return derived;
    }
  }
  return {};
}

}  // namespace sable::memory
