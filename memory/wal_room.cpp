#include "memory/wal_room.h"

#include <array>
#include <sqlite3.h>

namespace sable::memory {

namespace {

// A frame is a page and its header (sqlite.org/fileformat2.html, section 4.2).
constexpr int64_t kFrameBytes = 4096 + 24;
// About ten commits of one event.
constexpr int64_t kLeftMin = 32 * kFrameBytes;
// SQLite writes at most 128 KiB at once.
constexpr int64_t kPieceBytes = int64_t{64} << 10;
constexpr int64_t kStepBytes = 4 * kPieceBytes;
// The log is checkpointed at 1000 pages (commit_thread.cpp) and then begins anew.
constexpr int64_t kBytesMax = 1200 * kFrameBytes;

constexpr std::array<char, kPieceBytes> kZeros{};

Result<void> lengthen(sqlite3_file* wal, int64_t used) {
  sqlite3_int64 size = 0;
  // Once more under the lock: what others have appended is not to be overwritten.
  if (const int code = wal->pMethods->xFileSize(wal, &size); code != SQLITE_OK) {
    return fail_sqlite(nullptr, code);
  }
  if (size >= used + kLeftMin) return {};
  // A checkpoint may have emptied the log, and the disk not know of it yet. Were only these zeros
  // to reach it, the beginning of the old log would be taken for the newest state. (SQLite syncs
  // the header of a log that begins anew for the same reason: wal.c, syncHeader.)
  int code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
  for (const int64_t end = size + kStepBytes; code == SQLITE_OK && size < end;
       size += kPieceBytes) {
    code = wal->pMethods->xWrite(wal, kZeros.data(), kPieceBytes, size);
  }
  if (code == SQLITE_OK) code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
  if (code != SQLITE_OK) return fail_sqlite(nullptr, code);
  return {};
}

}  // namespace

Result<bool> keep_room_in_wal(LogDatabase& database) {
  Connection& connection = database.connection();
  sqlite3_file* wal = nullptr;
  if (sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) !=
          SQLITE_OK ||
      wal == nullptr || wal->pMethods == nullptr) {
    return false;
  }
  const int64_t used = connection.wal_pages() * kFrameBytes;
  sqlite3_int64 size = 0;
  if (wal->pMethods->xFileSize(wal, &size) != SQLITE_OK) return false;
  if (size >= used + kLeftMin || size >= kBytesMax) return true;
  SABLE_TRY_VOID(database.begin());
  auto lengthened = lengthen(wal, used);
  database.rollback();
  if (!lengthened) return fail(lengthened.error());
  return true;
}

}  // namespace sable::memory
