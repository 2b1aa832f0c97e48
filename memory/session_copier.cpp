#include "memory/session_copier.h"

#include "memory/checkpoint_folder.h"
#include "memory/session_owner.h"

namespace sable::memory {

asio::awaitable<Result<std::unique_ptr<Lease>>> SessionCopier::fork(std::string session, Seq at) {
  auto filling = std::make_shared<Filling>();
  const WallTime time = clock_.wall_now();
  auto begin_later =
      threads_.change<bool>([this, filling, session, at, time](LogDatabase& database) {
        return begin_fork(database, home_, time, *filling, session, at);
      });
  auto begun = co_await std::move(begin_later);
  if (!begun) co_return fail(begun.error());
  while (filling->row.view.n_events < at) {
    auto copy_later = threads_.change<bool>(
        [filling, at](LogDatabase& database) { return copy_events(database, *filling, at); });
    auto copied = co_await std::move(copy_later);
    if (!copied) co_return fail(copied.error());
  }
  // Before the lease takes the row with it.
  const std::string id = filling->row.id;
  const std::string root = filling->row.view.working_directory;
  auto taking = std::make_shared<Taking>();
  auto lease_later = threads_.change<std::unique_ptr<Lease>>(
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
  auto shared_later =
      threads_.on_thread<bool>(threads_.files(), [this, session, id, root]() -> Result<bool> {
        SABLE_TRY_VOID(share_checkpoints(home_.path(), root, session, id));
        share_snapshots(home_, session, id);
        return true;
      });
  auto shared = co_await std::move(shared_later);
  if (!shared) co_return fail(shared.error());
  co_return lease;
}

asio::awaitable<Result<ExportReport>> SessionCopier::export_session(std::string session,
                                                                    std::filesystem::path file) {
  auto export_later = threads_.on_thread<ExportReport>(
      threads_.long_work(), [this, session, file]() -> Result<ExportReport> {
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

asio::awaitable<Result<std::string>> SessionCopier::import_session(std::filesystem::path file) {
  auto import = std::make_shared<Importing>();
  auto imported_later = import_in_steps(import, std::move(file));
  auto imported = co_await std::move(imported_later);
  if (imported || !import->filling.lock) co_return imported;
  // Half of a session is nobody's; should taking it away fail, the next lone start does it.
  const SessionRow& row = import->filling.row;
  auto removing = std::make_shared<std::optional<Removing>>(
      Removing{{row.number, row.id, row.view.working_directory}, std::move(import->filling.lock)});
  auto condemned_later =
      threads_.change<bool>([number = row.number](LogDatabase& database) -> Result<bool> {
        SABLE_TRY_VOID(database.condemn_session(number));
        return true;
      });
  auto condemned = co_await std::move(condemned_later);
  if (!condemned) co_return imported;
  auto removed_later = remover_.finish(removing, kPurgedAtOnce, {});
  (void)co_await std::move(removed_later);
  co_return imported;
}

asio::awaitable<Result<std::string>> SessionCopier::import_in_steps(
    std::shared_ptr<Importing> import, std::filesystem::path file) {
  auto open_later =
      threads_.on_thread<bool>(threads_.long_work(), [import, file]() -> Result<bool> {
        SABLE_TRY(auto reader, SessionFileReader::open(file));
        import->reader.emplace(std::move(reader));
        return true;
      });
  auto opened = co_await std::move(open_later);
  if (!opened) co_return fail(opened.error());
  const WallTime time = clock_.wall_now();
  auto begin_later = threads_.change<bool>([this, import, time](LogDatabase& database) {
    return begin_filling(database, home_, time, import->filling, import->reader->header().id);
  });
  auto begun = co_await std::move(begin_later);
  if (!begun) co_return fail(begun.error());
  auto next = ImportNext::events;
  while (next == ImportNext::events || next == ImportNext::blob) {
    auto read_later = threads_.on_thread<ImportNext>(threads_.long_work(),
                                                     [import] { return read_some(*import); });
    auto read = co_await std::move(read_later);
    if (!read) co_return fail(read.error());
    next = *read;
    auto adopt_later = threads_.change<bool>(
        [import](LogDatabase& database) { return adopt_some(database, *import); });
    auto adopted = co_await std::move(adopt_later);
    if (!adopted) co_return fail(adopted.error());
    if (next != ImportNext::blob) continue;
    auto received_later = import_blob(import);
    auto received = co_await std::move(received_later);
    if (!received) co_return fail(received.error());
  }
  if (next == ImportNext::checkpoints) {
    auto whole_later = threads_.change<bool>(
        [import](LogDatabase& database) { return check_events(database, *import); });
    auto whole = co_await std::move(whole_later);
    if (!whole) co_return fail(whole.error());
    auto files_later =
        threads_.on_thread<bool>(threads_.long_work(), [this, import]() -> Result<bool> {
          SABLE_TRY_VOID(receive_checkpoints(home_, *import));
          return true;
        });
    auto files = co_await std::move(files_later);
    if (!files) co_return fail(files.error());
  }
  auto end_later =
      threads_.change<std::string>([this, import](LogDatabase& database) -> Result<std::string> {
        SABLE_TRY(auto id, finish_import(database, *import));
        SABLE_TRY_VOID(pins_.unpin_named(database, import->filling.row.number));
        return id;
      });
  auto id = co_await std::move(end_later);
  co_return id;
}

/// Pinned before it is there, as put_blob() does.
asio::awaitable<Result<bool>> SessionCopier::import_blob(std::shared_ptr<Importing> import) {
  auto pinned_later = threads_.change<bool>([this, import](LogDatabase& database) {
    return pins_.pin(database, std::get<FileBlob>(import->held).digest);
  });
  auto pinned = co_await std::move(pinned_later);
  if (!pinned) co_return pinned;
  auto received_later =
      threads_.on_thread<bool>(threads_.long_work(), [this, import]() -> Result<bool> {
        SABLE_TRY_VOID(receive_blob(home_.blobs(), *import));
        return true;
      });
  auto received = co_await std::move(received_later);
  co_return received;
}

}  // namespace sable::memory
