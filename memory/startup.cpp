#include "memory/startup.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "memory/log_database.h"
#include "memory/replacement.h"
#include "memory/session_removal.h"

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
  // Nobody was told that any of this had succeeded, and it is tried again at the next start.
  if (const auto finished = finish_removals(database, home); !finished) {
    log.warning("what was left by a removal that was cut off could not be taken away",
                {{"error", finished.error().message}});
  }
  return {};
}

}  // namespace sable::memory
