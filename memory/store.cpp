// The door's Store: hands each question to the thread that answers it.
#include <atomic>
#include <random>

#include <fmt/format.h>

#include "base/check.h"
#include "memory/blob_files.h"
#include "memory/commit_thread.h"
#include "memory/pending.h"
#include "memory/session_id.h"
#include "memory/session_lock.h"
#include "memory/startup.h"
#include "memory/work_thread.h"

namespace sable::memory {

namespace {

constexpr Seq kTailCheck = 16;  // events whose chain is checked when a session is taken over
constexpr size_t kPurgeBatch = 4096;

/// What a lease and the changes under way on it share; the lock goes when the last of them does.
struct Ownership {
  std::string session;
  int64_t fence;
  std::atomic<Seq> last_seq;
  SessionLock lock;

  Ownership(const SessionRow& row, SessionLock held)
      : session(row.id), fence(row.fence), last_seq(row.view.n_events), lock(std::move(held)) {}

  /// On the store thread, after a commit.
  void acknowledge(const SessionView& view) {
    last_seq = view.n_events;
    lock.record(fence, {view.n_events, view.head});
  }
};

class OwnedSession : public Lease {
 public:
  explicit OwnedSession(std::shared_ptr<Ownership> ownership) : ownership_(std::move(ownership)) {}
  const std::string& session() const override { return ownership_->session; }
  Seq last_seq() const override { return ownership_->last_seq; }
  const std::shared_ptr<Ownership>& ownership() const { return ownership_; }

 private:
  std::shared_ptr<Ownership> ownership_;
};

/// A change whose answer somebody awaits. `made` runs in the transaction; `durable` after its
/// commit.
template <class T>
class AwaitedChange : public Change {
 public:
  using Make = std::function<Result<T>(LogDatabase&)>;

  AwaitedChange(std::shared_ptr<Pending<T>> pending, Make make, std::function<void()> durable,
                bool alone)
      : pending_(std::move(pending)),
        make_(std::move(make)),
        durable_(std::move(durable)),
        alone_(alone) {}

  bool make(LogDatabase& database) override {
    result_.emplace(make_(database));
    return result_->has_value();
  }
  void settle(const Result<void>& committed) override {
    if (!committed && (!result_ || *result_)) result_.emplace(fail(committed.error()));
    if (*result_ && durable_) durable_();
    Pending<T>::complete(pending_, std::move(*result_));
  }
  bool alone() const override { return alone_; }

 private:
  std::shared_ptr<Pending<T>> pending_;
  Make make_;
  std::function<void()> durable_;
  const bool alone_;
  std::optional<Result<T>> result_;
};

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

// GCC 12 destroys the temporaries of a co_await expression twice, lambdas among them; so what is
// awaited is named first.
class LogStore : public Store {
 public:
  LogStore(Home home, const Clock& clock, std::unique_ptr<CommitThread> committer,
           LogDatabase reader)
      : home_(std::move(home)),
        clock_(clock),
        store_name_(make_store_name()),
        committer_(std::move(committer)),
        reading_(std::move(reader)) {}

  asio::awaitable<Result<std::unique_ptr<Lease>>> create_session(SessionStart start) override {
    auto made = std::make_shared<std::shared_ptr<Ownership>>();
    auto view = std::make_shared<SessionView>();
    auto answer_later = change<std::unique_ptr<Lease>>(
        [this, start, made, view](LogDatabase& database) {
          return make_session(database, start, *made, *view);
        },
        [made, view] { (*made)->acknowledge(*view); });
    auto answer = co_await std::move(answer_later);
    co_return answer;
  }

  asio::awaitable<Result<std::unique_ptr<Lease>>> acquire(std::string session) override {
    auto made = std::make_shared<std::shared_ptr<Ownership>>();
    auto view = std::make_shared<SessionView>();
    auto answer_later = change<std::unique_ptr<Lease>>(
        [this, session, made, view](LogDatabase& database) {
          return take_over(database, session, *made, *view);
        },
        [made, view] { (*made)->acknowledge(*view); });
    auto answer = co_await std::move(answer_later);
    co_return answer;
  }

  asio::awaitable<Result<std::vector<Event>>> append(Lease& lease,
                                                     std::vector<NewEvent> events) override {
    auto ownership = static_cast<OwnedSession&>(lease).ownership();
    auto view = std::make_shared<SessionView>();
    const WallTime time = clock_.wall_now();
    auto appended_later = change<std::vector<Event>>(
        [this, ownership, view, time, events](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(auto row, database.session(ownership->session));
          if (row.fence != ownership->fence) {
            return fail(ErrorCode::denied,
                        fmt::format("session {} has been taken over by another process",
                                    ownership->session));
          }
          auto result = database.append(row, events, time);
          if (result && has_pins_) {
            SABLE_TRY(has_pins_, database.unpin_named_blobs(store_name_, row.number));
          }
          *view = std::move(row.view);
          return result;
        },
        [ownership, view] { ownership->acknowledge(*view); });
    auto appended = co_await std::move(appended_later);
    co_return appended;
  }

  asio::awaitable<Result<std::vector<Event>>> read(std::string session, Seq from,
                                                   size_t n_max) override {
    auto events_later = ask<std::vector<Event>>(
        [session, from, n_max](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(const auto row, database.session(session));
          return database.events(row, from, n_max);
        });
    auto events = co_await std::move(events_later);
    co_return events;
  }

  asio::awaitable<Result<std::vector<SessionInfo>>> list(size_t n_max) override {
    auto sessions_later = ask<std::vector<SessionInfo>>(
        [this, n_max](LogDatabase& database) -> Result<std::vector<SessionInfo>> {
          SABLE_TRY(auto rows, database.newest_sessions(n_max));
          std::map<std::string, int> owners;
          for (auto& session : sessions_with_lock_file(home_.locks())) {
            if (const auto pid = live_owner(home_.locks(), session)) owners[session] = *pid;
          }
          std::vector<SessionInfo> infos;
          infos.reserve(rows.size());
          for (auto& row : rows) {
            const auto owner = owners.find(row.id);
            infos.push_back(info_of(std::move(row), owner == owners.end()
                                                        ? std::nullopt
                                                        : std::optional(owner->second)));
          }
          return infos;
        });
    auto sessions = co_await std::move(sessions_later);
    co_return sessions;
  }

  asio::awaitable<Result<SessionInfo>> find(std::string id) override {
    auto info_later =
        ask<SessionInfo>([this, id](LogDatabase& database) { return find_session(database, id); });
    auto info = co_await std::move(info_later);
    co_return info;
  }

  asio::awaitable<Result<std::vector<Event>>> unfinished_calls(std::string session) override {
    auto calls_later =
        ask<std::vector<Event>>([session](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(const auto row, database.session(session));
          return database.open_calls(row);
        });
    auto calls = co_await std::move(calls_later);
    co_return calls;
  }

  asio::awaitable<Result<std::string>> put_blob(std::string bytes) override {
    const auto content = std::make_shared<const std::string>(std::move(bytes));
    auto digest_later = on_thread<std::string>(
        files_, [content]() -> Result<std::string> { return to_hex(sha256(*content)); });
    auto digest = co_await std::move(digest_later);
    if (!digest) co_return digest;
    // Pinned before it is written, so that the removal of another session that names the same
    // content cannot take the file away before an event names it here.
    auto pinned_later = change<bool>([this, digest](LogDatabase& database) -> Result<bool> {
      SABLE_TRY_VOID(database.pin_blob(*digest, store_name_));
      has_pins_ = true;
      return true;
    });
    auto pinned = co_await std::move(pinned_later);
    if (!pinned) co_return fail(pinned.error());
    auto locator_later =
        on_thread<std::string>(files_, [this, content, digest]() -> Result<std::string> {
          SABLE_TRY_VOID(write_blob(home_.blobs(), *digest, *content));
          return std::string(kBlobPrefix) + *digest;
        });
    auto locator = co_await std::move(locator_later);
    co_return locator;
  }

  asio::awaitable<Result<std::string>> get_blob(std::string locator) override {
    auto bytes_later = on_thread<std::string>(files_, [this, locator]() -> Result<std::string> {
      SABLE_TRY(const auto digest, digest_of_locator(locator));
      return read_blob(home_.blobs(), digest);
    });
    auto bytes = co_await std::move(bytes_later);
    co_return bytes;
  }

  asio::awaitable<Result<void>> remove(std::string session) override {
    struct Hidden {
      int64_t number = 0;
      std::vector<std::string> blobs;
    };
    const WallTime time = clock_.wall_now();
    auto hidden_later =
        change<Hidden>([this, session, time](LogDatabase& database) -> Result<Hidden> {
          SABLE_TRY(const auto row, database.session(session));
          SABLE_TRY(const auto lock, SessionLock::acquire(home_.locks(), row.id));
          SABLE_TRY(auto blobs, database.hide_session(row, time));
          return Hidden{row.number, std::move(blobs)};
        });
    auto hidden = co_await std::move(hidden_later);
    if (!hidden) co_return fail(hidden.error());
    bool gone = false;
    while (!gone) {
      auto purged_later = change<bool>([number = hidden->number](LogDatabase& database) {
        return database.purge_events(number, kPurgeBatch);
      });
      auto purged = co_await std::move(purged_later);
      if (!purged) co_return fail(purged.error());
      gone = *purged;
    }
    // The write lock keeps new pins out while the files go.
    auto cleaned_later =
        change<bool>([this, blobs = hidden->blobs](LogDatabase& database) -> Result<bool> {
          for (const auto& digest : blobs) {
            SABLE_TRY(const bool used, database.blob_in_use(digest));
            if (!used) {
              SABLE_TRY_VOID(remove_blob(home_.blobs(), digest));
            }
          }
          return true;
        });
    auto cleaned = co_await std::move(cleaned_later);
    if (!cleaned) co_return fail(cleaned.error());
    // What was deleted is overwritten in the database (secure_delete); the log that still holds it
    // is emptied too, unless a reader is in the way: then the next checkpoint does.
    auto emptied_later = change<bool>(
        [](LogDatabase& database) -> Result<bool> {
          (void)database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)");
          return true;
        },
        nullptr, /*alone=*/true);
    auto emptied = co_await std::move(emptied_later);
    if (!emptied) co_return fail(emptied.error());
    co_return Result<void>{};
  }

 private:
  static std::string make_store_name() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
  }

  /// Runs `make` in a transaction of the store thread and `durable` after its commit.
  template <class T>
  asio::awaitable<Result<T>> change(std::function<Result<T>(LogDatabase&)> make,
                                    std::function<void()> durable = nullptr, bool alone = false) {
    auto pending = std::make_shared<Pending<T>>(co_await asio::this_coro::executor);
    committer_->submit(
        std::make_unique<AwaitedChange<T>>(pending, std::move(make), std::move(durable), alone));
    auto answer = Pending<T>::wait(std::move(pending));
    auto result = co_await std::move(answer);
    co_return result;
  }

  template <class T>
  asio::awaitable<Result<T>> on_thread(WorkThread& thread, std::function<Result<T>()> work) {
    auto pending = std::make_shared<Pending<T>>(co_await asio::this_coro::executor);
    thread.submit([pending, work = std::move(work)] {
      std::optional<Result<T>> result;
      try {
        result.emplace(work());
      } catch (const std::bad_alloc&) {
        result.emplace(fail(ErrorCode::exhausted, "out of memory"));
      }
      Pending<T>::complete(pending, std::move(*result));
    });
    auto answer = Pending<T>::wait(std::move(pending));
    auto result = co_await std::move(answer);
    co_return result;
  }

  /// Answers from one snapshot of the database, beside the writer.
  template <class T>
  asio::awaitable<Result<T>> ask(std::function<Result<T>(LogDatabase&)> question) {
    auto answer_later = on_thread<T>(reader_, [this, question = std::move(question)] {
      return reading_.read_consistently([&] { return question(reading_); });
    });
    auto answer = co_await std::move(answer_later);
    co_return answer;
  }

  Result<std::unique_ptr<Lease>> make_session(LogDatabase& database, const SessionStart& start,
                                              std::shared_ptr<Ownership>& made, SessionView& view) {
    const WallTime time = clock_.wall_now();
    std::string id;
    do {
      id = make_session_id(time);
      SABLE_TRY(const auto taken, database.ids_beginning(id, 1));
      if (!taken.empty()) id.clear();
    } while (id.empty());
    SABLE_TRY(auto lock, SessionLock::acquire(home_.locks(), id));
    SABLE_TRY(auto row, database.insert_session(id, /*complete=*/true));
    NewEvent first{"session.started", Json{{"title", start.title},
                                           {"working_directory", start.working_directory.string()},
                                           {"agent", start.agent},
                                           {"model", start.model},
                                           {"details", start.details}}};
    std::vector<NewEvent> events;
    events.push_back(std::move(first));
    SABLE_TRY_VOID(database.append(row, std::move(events), time));
    return own(std::move(row), std::move(lock), made, view);
  }

  Result<std::unique_ptr<Lease>> take_over(LogDatabase& database, const std::string& session,
                                           std::shared_ptr<Ownership>& made, SessionView& view) {
    SABLE_TRY(auto row, database.session(session));
    SABLE_TRY(auto lock, SessionLock::acquire(home_.locks(), row.id));
    SABLE_TRY_VOID(check_tail(database, row, lock.left_behind()));
    SABLE_TRY_VOID(database.raise_fence(row));
    return own(std::move(row), std::move(lock), made, view);
  }

  static std::unique_ptr<Lease> own(SessionRow row, SessionLock lock,
                                    std::shared_ptr<Ownership>& made, SessionView& view) {
    made = std::make_shared<Ownership>(row, std::move(lock));
    view = std::move(row.view);
    return std::make_unique<OwnedSession>(made);
  }

  Result<SessionInfo> find_session(LogDatabase& database, const std::string& id) {
    if (!may_be_session_id(id)) {
      return fail(ErrorCode::not_found, "no such session: a session's id looks like s_03cg8w1a7k");
    }
    auto row = database.session(id);
    if (!row && row.error().code == ErrorCode::not_found) {
      SABLE_TRY(const auto ids, database.ids_beginning(id, 2));
      if (ids.size() > 1) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("several sessions begin with {}: {}, {} and perhaps more", id,
                                ids[0], ids[1]));
      }
      if (ids.size() == 1) row = database.session(ids.front());
    }
    if (!row) return fail(row.error());
    const auto owner = live_owner(home_.locks(), row->id);
    return info_of(std::move(*row), owner);
  }

  static SessionInfo info_of(SessionRow row, std::optional<int> owner) {
    SessionView& view = row.view;
    // A turn that nobody is working on any more was cut off with its process.
    if (view.status == "running" && !owner) view.status = "interrupted";
    return {.id = std::move(row.id),
            .title = std::move(view.title),
            .working_directory = std::move(view.working_directory),
            .agent = std::move(view.agent),
            .model = std::move(view.model),
            .status = std::move(view.status),
            .created = WallTime(std::chrono::milliseconds(view.created_ms)),
            .updated = WallTime(std::chrono::milliseconds(view.updated_ms)),
            .n_events = view.n_events,
            .input_tokens = view.input_tokens,
            .output_tokens = view.output_tokens,
            .owner_pid = owner};
  }

  // Destroyed from the last to the first: questions end, the reader closes, then the writer, who
  // must be the last to close so that the write-ahead log is folded in.
  Home home_;
  const Clock& clock_;
  const std::string store_name_;
  bool has_pins_ = false;  // the store thread's
  std::unique_ptr<CommitThread> committer_;
  LogDatabase reading_;
  WorkThread reader_;
  WorkThread files_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& home_path,
                                           StoreOptions options) {
  const Clock& clock = options.clock ? *options.clock : system_clock();
  SABLE_TRY(auto home, Home::open(home_path));
  if (home.alone()) {
    auto prepared = prepare_database(home, options.log);
    if (!prepared) return fail_in(home.database().string(), prepared.error());
  }
  SABLE_TRY(auto committer, CommitThread::start(home.database(), options.log));
  SABLE_TRY(auto reading, LogDatabase::open(home.database(), OpenMode::read_only));
  SABLE_TRY_VOID(check_schema(reading.connection()));
  SABLE_TRY_VOID(home.share());
  return std::make_unique<LogStore>(std::move(home), clock, std::move(committer),
                                    std::move(reading));
}

}  // namespace sable::memory
