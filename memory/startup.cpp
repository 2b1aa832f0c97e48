#include "memory/startup.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "memory/log_database.h"
#include "memory/replacement.h"

namespace sable::memory {

namespace {

// A page check reads the whole file: about 0.2 s for this many bytes. Larger files are checked by
// `sable doctor`; every read checks the hash chain in any case.
constexpr uintmax_t kPageCheckBytesMax = uintmax_t{64} << 20;

Result<void> make_private_file(const std::filesystem::path& file) {
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd) return {};
  if (errno != EEXIST) return fail_errno(file.string(), errno);
  if (::chmod(file.c_str(), 0600) != 0) return fail_errno(file.string(), errno);
  return {};
}

/// Forks, imports and removals that were cut off: nobody was told that they had succeeded.
Result<void> finish_removals(LogDatabase& database) {
  SABLE_TRY(const auto hidden, database.hidden_sessions());
  for (const int64_t number : hidden) {
    bool gone = false;
    while (!gone) {
      SABLE_TRY_VOID(database.begin());
      auto purged = database.purge_events(number);
      if (purged) {
        auto committed = database.commit();
        if (!committed) purged = fail(committed.error());
      }
      if (!purged) {
        database.rollback();
        return fail(purged.error());
      }
      gone = *purged;
    }
  }
  return {};
}

}  // namespace

Result<void> prepare_database(const Home& home, const Log& log) {
  SABLE_TRY_VOID(finish_replacement(home));
  SABLE_TRY_VOID(make_private_file(home.database()));
  std::error_code error;
  const auto wal_bytes = std::filesystem::file_size(home.database().string() + "-wal", error);
  const bool unclean = !error && wal_bytes > 0;

  {
    SABLE_TRY(auto connection, Connection::open(home.database(), OpenMode::read_write));
    SABLE_TRY_VOID(create_or_migrate(connection));
  }
  SABLE_TRY_VOID(sync_folder(home.path()));
  SABLE_TRY(auto database, LogDatabase::open(home.database(), OpenMode::read_write));
  if (unclean) {
    log.info("recovering after an unclean stop", {{"wal_bytes", wal_bytes}});
    if (std::filesystem::file_size(home.database(), error) <= kPageCheckBytesMax && !error) {
      SABLE_TRY(const auto problems, page_problems(database.connection(), PageCheck::quick));
      if (!problems.empty()) {
        return fail(ErrorCode::corrupt,
                    fmt::format("the database is damaged ({}); run `sable doctor --repair`",
                                problems.front()));
      }
    }
  }
  SABLE_TRY(const auto pins, database.connection().integer("SELECT count(*) FROM blob_pin"));
  if (pins > 0) {
    SABLE_TRY_VOID(database.connection().execute("DELETE FROM blob_pin"));
  }
  return finish_removals(database);
}

}  // namespace sable::memory
