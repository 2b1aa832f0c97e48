// The door's Store: hands each question to the thread that answers it.
#include <random>
#include <system_error>

#include <fmt/format.h>

#include "memory/awaited_change.h"
#include "memory/blob_files.h"
#include "memory/checkpoint_folder.h"
#include "memory/commit_thread.h"
#include "memory/log_search.h"
#include "memory/out_of_memory.h"
#include "memory/retention.h"
#include "memory/session_filling.h"
#include "memory/session_list.h"
#include "memory/session_owner.h"
#include "memory/session_removal.h"
#include "memory/startup.h"
#include "memory/work_thread.h"

namespace sable::memory {

namespace {

// Events that one transaction deletes while others work.
constexpr size_t kPurgedAtOnceBeside = 256;

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
    auto taking = std::make_shared<Taking>();
    const WallTime time = clock_.wall_now();
    auto answer_later = change<std::unique_ptr<Lease>>(
        [this, start, time, taking](LogDatabase& database) {
          return make_session(database, home_, start, time, *taking);
        },
        [taking] { taking->acknowledge(); });
    auto answer = co_await std::move(answer_later);
    co_return answer;
  }

  asio::awaitable<Result<std::unique_ptr<Lease>>> acquire(std::string session) override {
    auto taking = std::make_shared<Taking>();
    auto answer_later = change<std::unique_ptr<Lease>>(
        [this, session, taking](LogDatabase& database) {
          return take_over(database, home_, session, *taking);
        },
        [taking] { taking->acknowledge(); });
    auto answer = co_await std::move(answer_later);
    co_return answer;
  }

  asio::awaitable<Result<std::vector<Event>>> append(Lease& lease,
                                                     std::vector<NewEvent> events) override {
    auto ownership = static_cast<OwnedSession&>(lease).ownership();
    auto view = std::make_shared<SessionView>();
    const WallTime time = clock_.wall_now();
    auto fresh = std::make_shared<std::vector<NewEvent>>(std::move(events));
    auto appended_later = change<std::vector<Event>>(
        [this, ownership, view, time, fresh](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(auto row, database.session(ownership->session));
          if (row.fence != ownership->fence) {
            return fail(ErrorCode::denied,
                        fmt::format("session {} has been taken over by another process",
                                    ownership->session));
          }
          auto result = database.append(row, std::move(*fresh), time);
          if (result && has_pins_) {
            SABLE_TRY(has_pins_, database.unpin_named_blobs(store_name_, row.number));
          }
          if (result) ownership->newest_made = row.view.n_events;
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

  const std::filesystem::path& home() const override { return home_.path(); }

  asio::awaitable<Result<std::vector<Event>>> find_events(std::string session, std::string type,
                                                          Seq from, size_t n_max) override {
    auto events_later = ask<std::vector<Event>>(
        [session, type, from, n_max](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(const auto row, database.session(session));
          return database.events_of_type(row, type, from, n_max);
        });
    auto events = co_await std::move(events_later);
    co_return events;
  }

  asio::awaitable<Result<std::vector<SearchHit>>> search(std::string text, size_t n_max) override {
    auto hits_later = on_thread<std::vector<SearchHit>>(
        long_work_, [this, text, n_max]() -> Result<std::vector<SearchHit>> {
          SABLE_TRY(auto database, LogDatabase::open(home_.database(), OpenMode::read_only));
          return search_events(database, text, n_max);
        });
    auto hits = co_await std::move(hits_later);
    co_return hits;
  }

  asio::awaitable<Result<std::vector<SessionInfo>>> list(size_t n_max) override {
    auto sessions_later = ask<std::vector<SessionInfo>>(
        [this, n_max](LogDatabase& database) { return list_sessions(database, home_, n_max); });
    auto sessions = co_await std::move(sessions_later);
    co_return sessions;
  }

  asio::awaitable<Result<SessionInfo>> find(std::string id) override {
    auto info_later = ask<SessionInfo>(
        [this, id](LogDatabase& database) { return find_session(database, home_, id); });
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
    auto removed_later = remove_in_steps(session, kPurgedAtOnce, {});
    auto removed = co_await std::move(removed_later);
    if (!removed) co_return removed;
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

  asio::awaitable<Result<Swept>> sweep() override {
    Swept swept;
    auto hidden_later = ask<std::vector<HiddenSession>>(
        [](LogDatabase& database) { return database.hidden_sessions(); });
    auto hidden = co_await std::move(hidden_later);
    if (!hidden) co_return fail(hidden.error());
    for (const auto& session : *hidden) {
      auto removing = std::make_shared<std::optional<Removing>>();
      auto taken_later = change<bool>([this, session, removing](LogDatabase& database) {
        return take_over_removal(database, home_, session, *removing);
      });
      auto taken = co_await std::move(taken_later);
      if (!taken) co_return fail(taken.error());
      if (!*taken) continue;
      auto finished_later = finish_removal(removing, kPurgedAtOnce, {});
      auto finished = co_await std::move(finished_later);
      if (!finished) co_return fail(finished.error());
      ++swept.n_sessions;
    }
    for (int subfolder = 0; subfolder < 256; ++subfolder) {
      // The write lock keeps new pins out while the files go.
      auto blobs_later = change<uint64_t>([this, subfolder](LogDatabase& database) {
        return sweep_blobs(database, home_, static_cast<uint8_t>(subfolder));
      });
      auto blobs = co_await std::move(blobs_later);
      if (!blobs) co_return fail(blobs.error());
      swept.n_blobs += *blobs;
    }
    auto caches_later = on_thread<Swept>(long_work_, [this]() -> Result<Swept> {
      SABLE_TRY(auto database, LogDatabase::open(home_.database(), OpenMode::read_only));
      return sweep_caches(database, home_);
    });
    auto caches = co_await std::move(caches_later);
    if (!caches) co_return caches;
    swept.n_checkpoints = caches->n_checkpoints;
    swept.n_snapshots = caches->n_snapshots;
    co_return swept;
  }

  asio::awaitable<Result<std::unique_ptr<Lease>>> fork(std::string session, Seq at) override {
    auto filling = std::make_shared<Filling>();
    const WallTime time = clock_.wall_now();
    auto begin_later = change<bool>([this, filling, session, at, time](LogDatabase& database) {
      return begin_fork(database, home_, time, *filling, session, at);
    });
    auto begun = co_await std::move(begin_later);
    if (!begun) co_return fail(begun.error());
    while (filling->row.view.n_events < at) {
      auto copy_later = change<bool>(
          [filling, at](LogDatabase& database) { return copy_events(database, *filling, at); });
      auto copied = co_await std::move(copy_later);
      if (!copied) co_return fail(copied.error());
    }
    // Before the lease takes the row with it.
    const std::string id = filling->row.id;
    const std::string root = filling->row.view.working_directory;
    auto taking = std::make_shared<Taking>();
    auto lease_later = change<std::unique_ptr<Lease>>(
        [filling, session, at, time,
         taking](LogDatabase& database) -> Result<std::unique_ptr<Lease>> {
          std::vector<NewEvent> events;
          events.push_back(
              {"session.forked", Json{{"from", session}, {"seq", at}, {"id", filling->row.id}}});
          SABLE_TRY_VOID(database.append(filling->row, std::move(events), time));
          SABLE_TRY_VOID(database.complete_session(filling->row));
          return taking->own(std::move(filling->row), std::move(*filling->lock));
        },
        [taking] { taking->acknowledge(); });
    auto lease = co_await std::move(lease_later);
    if (!lease) co_return lease;
    auto shared_later = on_thread<bool>(files_, [this, session, id, root]() -> Result<bool> {
      SABLE_TRY_VOID(share_checkpoints(home_.path(), root, session, id));
      share_snapshots(home_, session, id);
      return true;
    });
    auto shared = co_await std::move(shared_later);
    if (!shared) co_return fail(shared.error());
    co_return lease;
  }

  asio::awaitable<Result<ExportReport>> export_session(std::string session,
                                                       std::filesystem::path file) override {
    auto export_later =
        on_thread<ExportReport>(long_work_, [this, session, file]() -> Result<ExportReport> {
          // A connection of its own: a long export does not hold up questions.
          SABLE_TRY(auto database, LogDatabase::open(home_.database(), OpenMode::read_only));
          return database.read_consistently([&]() -> Result<ExportReport> {
            SABLE_TRY(const auto row, database.session(session));
            return write_session_file(database, row, home_, file);
          });
        });
    auto exported = co_await std::move(export_later);
    co_return exported;
  }

  asio::awaitable<Result<std::string>> import_session(std::filesystem::path file) override {
    auto import = std::make_shared<Importing>();
    auto imported_later = import_in_steps(import, std::move(file));
    auto imported = co_await std::move(imported_later);
    if (imported || !import->filling.lock) co_return imported;
    // Half of a session is nobody's; should taking it away fail, the next lone start does it.
    const SessionRow& row = import->filling.row;
    auto removing = std::make_shared<std::optional<Removing>>(Removing{
        {row.number, row.id, row.view.working_directory}, std::move(import->filling.lock)});
    auto condemned_later =
        change<bool>([number = row.number](LogDatabase& database) -> Result<bool> {
          SABLE_TRY_VOID(database.condemn_session(number));
          return true;
        });
    auto condemned = co_await std::move(condemned_later);
    if (!condemned) co_return imported;
    auto removed_later = finish_removal(removing, kPurgedAtOnce, {});
    (void)co_await std::move(removed_later);
    co_return imported;
  }

  asio::awaitable<Result<std::vector<ExpiredSession>>> expired(Retention policy) override {
    auto chosen_later = choose(policy, {});
    auto chosen = co_await std::move(chosen_later);
    co_return chosen;
  }

  asio::awaitable<Result<std::vector<ExpiredSession>>> retain(Retention policy,
                                                              std::stop_token stop) override {
    auto chosen_later = choose(policy, stop);
    auto chosen = co_await std::move(chosen_later);
    if (!chosen) co_return chosen;
    std::vector<ExpiredSession> removed;
    for (auto& session : *chosen) {
      auto remove_later = remove_in_steps(session.id, kPurgedAtOnceBeside, stop);
      auto gone = co_await std::move(remove_later);
      if (gone) {
        removed.push_back(std::move(session));
      } else if (gone.error().code == ErrorCode::cancelled && !removed.empty()) {
        break;
      } else if (gone.error().code != ErrorCode::denied &&
                 gone.error().code != ErrorCode::not_found) {
        co_return fail(gone.error());  // one that came to life meanwhile simply stays
      }
    }
    co_return removed;
  }

  asio::awaitable<Result<bool>> shrink() override {
    auto shrink_later =
        change<bool>([](LogDatabase& database) { return shrink_if_worth_it(database); }, nullptr,
                     /*alone=*/true);
    auto shrunk = co_await std::move(shrink_later);
    co_return shrunk;
  }

 private:
  static std::string make_store_name() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
  }

  asio::awaitable<Result<std::string>> import_in_steps(std::shared_ptr<Importing> import,
                                                       std::filesystem::path file) {
    auto open_later = on_thread<bool>(long_work_, [import, file]() -> Result<bool> {
      SABLE_TRY(auto reader, SessionFileReader::open(file));
      import->reader.emplace(std::move(reader));
      return true;
    });
    auto opened = co_await std::move(open_later);
    if (!opened) co_return fail(opened.error());
    const WallTime time = clock_.wall_now();
    auto begin_later = change<bool>([this, import, time](LogDatabase& database) {
      return begin_filling(database, home_, time, import->filling, import->reader->header().id);
    });
    auto begun = co_await std::move(begin_later);
    if (!begun) co_return fail(begun.error());
    auto next = ImportNext::events;
    while (next == ImportNext::events || next == ImportNext::blob) {
      auto read_later = on_thread<ImportNext>(long_work_, [import] { return read_some(*import); });
      auto read = co_await std::move(read_later);
      if (!read) co_return fail(read.error());
      next = *read;
      auto adopt_later =
          change<bool>([import](LogDatabase& database) { return adopt_some(database, *import); });
      auto adopted = co_await std::move(adopt_later);
      if (!adopted) co_return fail(adopted.error());
      if (next != ImportNext::blob) continue;
      auto received_later = import_blob(import);
      auto received = co_await std::move(received_later);
      if (!received) co_return fail(received.error());
    }
    if (next == ImportNext::checkpoints) {
      auto whole_later =
          change<bool>([import](LogDatabase& database) { return check_events(database, *import); });
      auto whole = co_await std::move(whole_later);
      if (!whole) co_return fail(whole.error());
      auto files_later = on_thread<bool>(long_work_, [this, import]() -> Result<bool> {
        SABLE_TRY_VOID(receive_checkpoints(home_, *import));
        return true;
      });
      auto files = co_await std::move(files_later);
      if (!files) co_return fail(files.error());
    }
    auto end_later =
        change<std::string>([this, import](LogDatabase& database) -> Result<std::string> {
          SABLE_TRY(auto id, finish_import(database, *import));
          SABLE_TRY(has_pins_, database.unpin_named_blobs(store_name_, import->filling.row.number));
          return id;
        });
    auto id = co_await std::move(end_later);
    co_return id;
  }

  /// Pinned before it is there, as put_blob() does.
  asio::awaitable<Result<bool>> import_blob(std::shared_ptr<Importing> import) {
    auto pinned_later = change<bool>([this, import](LogDatabase& database) -> Result<bool> {
      SABLE_TRY_VOID(database.pin_blob(std::get<FileBlob>(import->held).digest, store_name_));
      has_pins_ = true;
      return true;
    });
    auto pinned = co_await std::move(pinned_later);
    if (!pinned) co_return pinned;
    auto received_later = on_thread<bool>(long_work_, [this, import]() -> Result<bool> {
      SABLE_TRY_VOID(receive_blob(home_.blobs(), *import));
      return true;
    });
    auto received = co_await std::move(received_later);
    co_return received;
  }

  asio::awaitable<Result<std::vector<ExpiredSession>>> choose(Retention policy,
                                                              std::stop_token stop) {
    const WallTime now = clock_.wall_now();
    auto chosen_later = on_thread<std::vector<ExpiredSession>>(
        long_work_, [this, policy, now, stop]() -> Result<std::vector<ExpiredSession>> {
          SABLE_TRY(auto database, LogDatabase::open(home_.database(), OpenMode::read_only));
          return database.read_consistently(
              [&] { return expired_sessions(database, home_, policy, now, stop); });
        });
    auto chosen = co_await std::move(chosen_later);
    co_return chosen;
  }

  asio::awaitable<Result<void>> remove_in_steps(std::string session, size_t n_purged_at_once,
                                                std::stop_token stop) {
    auto removing = std::make_shared<std::optional<Removing>>();
    const WallTime time = clock_.wall_now();
    auto hidden_later =
        change<bool>([this, session, time, removing](LogDatabase& database) -> Result<bool> {
          SABLE_TRY(auto begun, begin_removal(database, home_, session, time));
          removing->emplace(std::move(begun));
          return true;
        });
    auto hidden = co_await std::move(hidden_later);
    if (!hidden) co_return fail(hidden.error());
    auto finished_later = finish_removal(removing, n_purged_at_once, stop);
    auto finished = co_await std::move(finished_later);
    co_return finished;
  }

  /// What is left to do of a removal, its row last.
  asio::awaitable<Result<void>> finish_removal(std::shared_ptr<std::optional<Removing>> removing,
                                               size_t n_purged_at_once, std::stop_token stop) {
    const HiddenSession session = (*removing)->session;
    bool gone = false;
    while (!gone) {
      if (stop.stop_requested()) {
        co_return fail(ErrorCode::cancelled, "the removal goes on another time");
      }
      auto purged_later =
          change<bool>([number = session.number, n_purged_at_once](LogDatabase& database) {
            return database.purge_events(number, n_purged_at_once);
          });
      auto purged = co_await std::move(purged_later);
      if (!purged) co_return fail(purged.error());
      gone = *purged;
    }
    // The write lock keeps new pins out while the files go.
    auto blobs_later = change<bool>([this, session](LogDatabase& database) -> Result<bool> {
      SABLE_TRY_VOID(remove_its_blobs(database, home_, session));
      return true;
    });
    auto blobs = co_await std::move(blobs_later);
    if (!blobs) co_return fail(blobs.error());
    auto caches_later = on_thread<bool>(long_work_, [this, session, stop]() -> Result<bool> {
      SABLE_TRY_VOID(remove_its_caches(home_, session, stop));
      return true;
    });
    auto caches = co_await std::move(caches_later);
    if (!caches) co_return fail(caches.error());
    auto erased_later = change<bool>([session](LogDatabase& database) -> Result<bool> {
      SABLE_TRY_VOID(database.erase_session(session.number));
      return true;
    });
    auto erased = co_await std::move(erased_later);
    if (!erased) co_return fail(erased.error());
    (*removing)->lock->discard();
    co_return Result<void>{};
  }

  /// Runs `make` in a transaction of the store thread and `durable` after its commit.
  template <class T>
  asio::awaitable<Result<T>> change(std::function<Result<T>(LogDatabase&)> make,
                                    std::function<void()> durable = nullptr, bool alone = false) {
    auto pending = std::make_shared<Pending<T>>(co_await asio::this_coro::executor);
    // Before the change is on its way: there must be memory to wait in.
    auto answer = Pending<T>::wait(pending);
    committer_->submit(std::make_unique<AwaitedChange<T>>(std::move(pending), std::move(make),
                                                          std::move(durable), alone));
    auto result = co_await std::move(answer);
    co_return result;
  }

  template <class T>
  asio::awaitable<Result<T>> on_thread(WorkThread& thread, std::function<Result<T>()> work) {
    auto pending = std::make_shared<Pending<T>>(co_await asio::this_coro::executor);
    auto answer = Pending<T>::wait(pending);
    thread.submit([pending = std::move(pending), work = std::move(work)] {
      Pending<T>::complete(pending, unless_out_of_memory(work));
    });
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
  WorkThread long_work_;
};

Result<std::unique_ptr<Store>> open_store(const std::filesystem::path& home_path,
                                          const StoreOptions& options) {
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

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& home,
                                           StoreOptions options) {
  try {
    return unless_out_of_memory([&] { return open_store(home, options); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::exhausted, fmt::format("no thread can be started: {}", error.what()));
  }
}

}  // namespace sable::memory
