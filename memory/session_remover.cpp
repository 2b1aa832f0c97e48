#include "memory/session_remover.h"

#include "memory/retention.h"

namespace sable::memory {

namespace {

// Events that one transaction deletes while others work.
constexpr size_t kPurgedAtOnceBeside = 256;

}  // namespace

asio::awaitable<Result<void>> SessionRemover::remove(std::string session) {
  auto removed_later = remove_in_steps(session, kPurgedAtOnce, {});
  auto removed = co_await std::move(removed_later);
  if (!removed) co_return removed;
  // What was deleted is overwritten in the database (secure_delete); the log that still holds it
  // is emptied too, unless a reader is in the way: then the next checkpoint does.
  auto emptied_later = threads_.change<bool>(
      [](LogDatabase& database) -> Result<bool> {
        (void)database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)");
        return true;
      },
      nullptr, /*alone=*/true);
  auto emptied = co_await std::move(emptied_later);
  if (!emptied) co_return fail(emptied.error());
  co_return Result<void>{};
}

asio::awaitable<Result<Swept>> SessionRemover::sweep() {
  Swept swept;
  auto hidden_later = threads_.ask<std::vector<HiddenSession>>(
      [](LogDatabase& database) { return database.hidden_sessions(); });
  auto hidden = co_await std::move(hidden_later);
  if (!hidden) co_return fail(hidden.error());
  for (const auto& session : *hidden) {
    auto removing = std::make_shared<std::optional<Removing>>();
    auto taken_later = threads_.change<bool>([this, session, removing](LogDatabase& database) {
      return take_over_removal(database, home_, session, *removing);
    });
    auto taken = co_await std::move(taken_later);
    if (!taken) co_return fail(taken.error());
    if (!*taken) continue;
    auto finished_later = finish(removing, kPurgedAtOnce, {});
    auto finished = co_await std::move(finished_later);
    if (!finished) co_return fail(finished.error());
    ++swept.n_sessions;
  }
  for (int subfolder = 0; subfolder < 256; ++subfolder) {
    // The write lock keeps new pins out while the files go.
    auto blobs_later = threads_.change<uint64_t>([this, subfolder](LogDatabase& database) {
      return sweep_blobs(database, home_, static_cast<uint8_t>(subfolder));
    });
    auto blobs = co_await std::move(blobs_later);
    if (!blobs) co_return fail(blobs.error());
    swept.n_blobs += *blobs;
  }
  auto caches_later = threads_.on_thread<Swept>(threads_.long_work(), [this]() -> Result<Swept> {
    SABLE_TRY(auto database, LogDatabase::open(home_.database(), OpenMode::read_only));
    return sweep_caches(database, home_);
  });
  auto caches = co_await std::move(caches_later);
  if (!caches) co_return caches;
  swept.n_checkpoints = caches->n_checkpoints;
  swept.n_snapshots = caches->n_snapshots;
  co_return swept;
}

asio::awaitable<Result<std::vector<ExpiredSession>>> SessionRemover::expired(Retention policy) {
  auto chosen_later = choose(policy, {});
  auto chosen = co_await std::move(chosen_later);
  co_return chosen;
}

asio::awaitable<Result<std::vector<ExpiredSession>>> SessionRemover::retain(Retention policy,
                                                                            std::stop_token stop) {
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

asio::awaitable<Result<std::vector<ExpiredSession>>> SessionRemover::choose(Retention policy,
                                                                            std::stop_token stop) {
  const WallTime now = clock_.wall_now();
  auto chosen_later = threads_.on_thread<std::vector<ExpiredSession>>(
      threads_.long_work(), [this, policy, now, stop]() -> Result<std::vector<ExpiredSession>> {
        SABLE_TRY(auto database, LogDatabase::open(home_.database(), OpenMode::read_only));
        return database.read_consistently(
            [&] { return expired_sessions(database, home_, policy, now, stop); });
      });
  auto chosen = co_await std::move(chosen_later);
  co_return chosen;
}

asio::awaitable<Result<void>> SessionRemover::remove_in_steps(std::string session,
                                                              size_t n_purged_at_once,
                                                              std::stop_token stop) {
  auto removing = std::make_shared<std::optional<Removing>>();
  const WallTime time = clock_.wall_now();
  auto hidden_later =
      threads_.change<bool>([this, session, time, removing](LogDatabase& database) -> Result<bool> {
        SABLE_TRY(auto begun, begin_removal(database, home_, session, time));
        removing->emplace(std::move(begun));
        return true;
      });
  auto hidden = co_await std::move(hidden_later);
  if (!hidden) co_return fail(hidden.error());
  auto finished_later = finish(removing, n_purged_at_once, stop);
  auto finished = co_await std::move(finished_later);
  co_return finished;
}

asio::awaitable<Result<void>> SessionRemover::finish(
    std::shared_ptr<std::optional<Removing>> removing, size_t n_purged_at_once,
    std::stop_token stop) {
  const HiddenSession session = (*removing)->session;
  bool gone = false;
  while (!gone) {
    if (stop.stop_requested()) {
      co_return fail(ErrorCode::cancelled, "the removal goes on another time");
    }
    auto purged_later =
        threads_.change<bool>([number = session.number, n_purged_at_once](LogDatabase& database) {
          return database.purge_events(number, n_purged_at_once);
        });
    auto purged = co_await std::move(purged_later);
    if (!purged) co_return fail(purged.error());
    gone = *purged;
  }
  // The write lock keeps new pins out while the files go.
  auto blobs_later = threads_.change<bool>([this, session](LogDatabase& database) -> Result<bool> {
    SABLE_TRY_VOID(remove_its_blobs(database, home_, session));
    return true;
  });
  auto blobs = co_await std::move(blobs_later);
  if (!blobs) co_return fail(blobs.error());
  auto caches_later =
      threads_.on_thread<bool>(threads_.long_work(), [this, session, stop]() -> Result<bool> {
        SABLE_TRY_VOID(remove_its_caches(home_, session, stop));
        return true;
      });
  auto caches = co_await std::move(caches_later);
  if (!caches) co_return fail(caches.error());
  auto erased_later = threads_.change<bool>([session](LogDatabase& database) -> Result<bool> {
    SABLE_TRY_VOID(database.erase_session(session.number));
    return true;
  });
  auto erased = co_await std::move(erased_later);
  if (!erased) co_return fail(erased.error());
  (*removing)->lock->discard();
  co_return Result<void>{};
}

}  // namespace sable::memory
