// The door's Store: hands each question to the thread that answers it.
#include <system_error>

#include <fmt/format.h>

#include "memory/blob_files.h"
#include "memory/blob_pins.h"
#include "memory/log_search.h"
#include "memory/retention.h"
#include "memory/session_copier.h"
#include "memory/session_list.h"
#include "memory/session_owner.h"
#include "memory/session_remover.h"
#include "memory/startup.h"
#include "memory/store_threads.h"

namespace sable::memory {

namespace {

class LogStore : public Store {
 public:
  LogStore(Home home, const Clock& clock, std::unique_ptr<CommitThread> committer,
           LogDatabase reading)
      : home_(std::move(home)),
        clock_(clock),
        remover_(home_, clock_, threads_),
        copier_(home_, clock_, pins_, remover_, threads_),
        threads_(std::move(committer), std::move(reading)) {}

  asio::awaitable<Result<std::unique_ptr<Lease>>> create_session(SessionStart start) override {
    auto taking = std::make_shared<Taking>();
    const WallTime time = clock_.wall_now();
    auto answer_later = threads_.change<std::unique_ptr<Lease>>(
        [this, start, time, taking](LogDatabase& database) {
          return make_session(database, home_, start, time, *taking);
        },
        [taking] { taking->acknowledge(); });
    auto answer = co_await std::move(answer_later);
    co_return answer;
  }

  asio::awaitable<Result<std::unique_ptr<Lease>>> acquire(std::string session) override {
    auto taking = std::make_shared<Taking>();
    auto answer_later = threads_.change<std::unique_ptr<Lease>>(
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
    auto appended_later = threads_.change<std::vector<Event>>(
        [this, ownership, view, time, fresh](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(auto row, database.session(ownership->session));
          if (row.fence != ownership->fence) {
            return fail(ErrorCode::denied,
                        fmt::format("session {} has been taken over by another process",
                                    ownership->session));
          }
          auto result = database.append(row, std::move(*fresh), time);
          if (result) {
            SABLE_TRY_VOID(pins_.unpin_named(database, row.number));
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
    auto events_later = threads_.ask<std::vector<Event>>(
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
    auto events_later = threads_.ask<std::vector<Event>>(
        [session, type, from, n_max](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(const auto row, database.session(session));
          return database.events_of_type(row, type, from, n_max);
        });
    auto events = co_await std::move(events_later);
    co_return events;
  }

  asio::awaitable<Result<std::vector<SearchHit>>> search(std::string text, size_t n_max) override {
    auto hits_later = threads_.on_thread<std::vector<SearchHit>>(
        threads_.long_work(), [this, text, n_max]() -> Result<std::vector<SearchHit>> {
          SABLE_TRY(auto database, LogDatabase::open(home_.database(), OpenMode::read_only));
          return search_events(database, text, n_max);
        });
    auto hits = co_await std::move(hits_later);
    co_return hits;
  }

  asio::awaitable<Result<std::vector<SessionInfo>>> list(size_t n_max) override {
    auto sessions_later = threads_.ask<std::vector<SessionInfo>>(
        [this, n_max](LogDatabase& database) { return list_sessions(database, home_, n_max); });
    auto sessions = co_await std::move(sessions_later);
    co_return sessions;
  }

  asio::awaitable<Result<SessionInfo>> find(std::string id) override {
    auto info_later = threads_.ask<SessionInfo>(
        [this, id](LogDatabase& database) { return find_session(database, home_, id); });
    auto info = co_await std::move(info_later);
    co_return info;
  }

  asio::awaitable<Result<std::vector<Event>>> unfinished_calls(std::string session) override {
    auto calls_later = threads_.ask<std::vector<Event>>(
        [session](LogDatabase& database) -> Result<std::vector<Event>> {
          SABLE_TRY(const auto row, database.session(session));
          return database.open_calls(row);
        });
    auto calls = co_await std::move(calls_later);
    co_return calls;
  }

  asio::awaitable<Result<std::string>> put_blob(std::string bytes) override {
    const auto content = std::make_shared<const std::string>(std::move(bytes));
    auto digest_later = threads_.on_thread<std::string>(
        threads_.files(), [content]() -> Result<std::string> { return to_hex(sha256(*content)); });
    auto digest = co_await std::move(digest_later);
    if (!digest) co_return digest;
    auto pinned_later = threads_.change<bool>(
        [this, digest](LogDatabase& database) { return pins_.pin(database, *digest); });
    auto pinned = co_await std::move(pinned_later);
    if (!pinned) co_return fail(pinned.error());
    auto locator_later = threads_.on_thread<std::string>(
        threads_.files(), [this, content, digest]() -> Result<std::string> {
          SABLE_TRY_VOID(write_blob(home_.blobs(), *digest, *content));
          return std::string(kBlobPrefix) + *digest;
        });
    auto locator = co_await std::move(locator_later);
    co_return locator;
  }

  asio::awaitable<Result<std::string>> get_blob(std::string locator) override {
    auto bytes_later =
        threads_.on_thread<std::string>(threads_.files(), [this, locator]() -> Result<std::string> {
          SABLE_TRY(const auto digest, digest_of_locator(locator));
          return read_blob(home_.blobs(), digest);
        });
    auto bytes = co_await std::move(bytes_later);
    co_return bytes;
  }

  asio::awaitable<Result<void>> remove(std::string session) override {
    return remover_.remove(std::move(session));
  }
  asio::awaitable<Result<Swept>> sweep() override { return remover_.sweep(); }
  asio::awaitable<Result<std::vector<ExpiredSession>>> expired(Retention policy) override {
    return remover_.expired(policy);
  }
  asio::awaitable<Result<std::vector<ExpiredSession>>> retain(Retention policy,
                                                              std::stop_token stop) override {
    return remover_.retain(policy, std::move(stop));
  }

  asio::awaitable<Result<std::unique_ptr<Lease>>> fork(std::string session, Seq at) override {
    return copier_.fork(std::move(session), at);
  }
  asio::awaitable<Result<ExportReport>> export_session(std::string session,
                                                       std::filesystem::path file) override {
    return copier_.export_session(std::move(session), std::move(file));
  }
  asio::awaitable<Result<std::string>> import_session(std::filesystem::path file) override {
    return copier_.import_session(std::move(file));
  }

  asio::awaitable<Result<bool>> shrink() override {
    auto shrink_later = threads_.change<bool>(
        [](LogDatabase& database) { return shrink_if_worth_it(database); }, nullptr,
        /*alone=*/true);
    auto shrunk = co_await std::move(shrink_later);
    co_return shrunk;
  }

 private:
  // What the changes under way use is destroyed after the threads that carry them out.
  const Home home_;
  const Clock& clock_;
  BlobPins pins_;
  SessionRemover remover_;
  SessionCopier copier_;
  StoreThreads threads_;
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
