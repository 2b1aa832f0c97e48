#include "memory/sqlite.h"

#include <new>
#include <sqlite3.h>

#include <fmt/format.h>

#include "base/check.h"

namespace sable::memory {

namespace {

constexpr int kBusyTimeoutMs = 5000;

int note_wal_pages(void* pages, sqlite3*, const char*, int n) {
  *static_cast<int*>(pages) = n;
  return SQLITE_OK;
}

}  // namespace

tl::unexpected<Error> fail_sqlite(sqlite3* handle, int code) {
  const char* text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  const int extended = handle ? sqlite3_extended_errcode(handle) : code;
  constexpr const char* kFull =
      "the disk is full; what was acknowledged is safe, free some space and try again";
  switch (code & 0xff) {
    case SQLITE_FULL:
      return fail(ErrorCode::exhausted, kFull);
    case SQLITE_NOMEM:
      return fail(ErrorCode::exhausted, "out of memory in the database");
    case SQLITE_TOOBIG:
      return fail(ErrorCode::exhausted, "a value is larger than the database can hold");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return fail(ErrorCode::corrupt,
                  fmt::format("the database is damaged ({}); run `sable doctor --repair`", text));
    case SQLITE_READONLY:
      return fail(ErrorCode::unsupported, fmt::format("the database cannot be written ({})", text));
    case SQLITE_BUSY:
      return fail(ErrorCode::io,
                  "another process has kept the database locked for too long; try again");
    case SQLITE_IOERR:
      // The shared-memory file is made larger by writing to it, which SQLite reports so.
      if (extended == SQLITE_IOERR_SHMSIZE ||
          (handle != nullptr && sqlite3_system_errno(handle) == ENOSPC)) {
        return fail(ErrorCode::exhausted, kFull);
      }
      return fail(ErrorCode::io, fmt::format("database: {} (code {}); check the disk, then "
                                             "`sable doctor`",
                                             text, extended));
    default:
      return fail(ErrorCode::io, fmt::format("database: {} (code {})", text, extended));
  }
}

void Connection::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
void Statement::Finalize::operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }

Result<Connection> Connection::open_file(const char* name, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(name, &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Connection connection;
  connection.handle_.reset(raw);
  if (code != SQLITE_OK) return fail_sqlite(raw, code);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  for (const auto& [option, value] :
       {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1}, std::pair{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        std::pair{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0}, std::pair{SQLITE_DBCONFIG_DQS_DDL, 0},
        std::pair{SQLITE_DBCONFIG_DQS_DML, 0}, std::pair{SQLITE_DBCONFIG_ENABLE_FKEY, 1}}) {
    if (const int set = sqlite3_db_config(raw, option, value, nullptr); set != SQLITE_OK) {
      return fail_sqlite(raw, set);
    }
  }
  // Checkpoints are the committer's to time, after it has answered (commit_thread.cpp).
  sqlite3_wal_hook(raw, note_wal_pages, connection.wal_pages_.get());
  SABLE_TRY_VOID(connection.execute(
      "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
      "PRAGMA secure_delete=ON; PRAGMA recursive_triggers=ON; PRAGMA cache_size=-8000"));
  return connection;
}

Result<Connection> Connection::open(const std::filesystem::path& file, OpenMode mode) {
  const int flags = mode == OpenMode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  return open_file(file.c_str(), flags | SQLITE_OPEN_NOFOLLOW);
}

Result<Connection> Connection::open_in_memory() {
  return open_file(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

Result<void> Connection::execute(const char* sql) {
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail_sqlite(handle_.get(), code);
  return {};
}

Result<Statement> Connection::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return fail_sqlite(handle_.get(), code);
  return Statement(statement);
}

Result<int64_t> Connection::integer(const char* sql) {
  SABLE_TRY(auto statement, prepare(sql));
  Run run(statement);
  SABLE_TRY(const bool row, run.next());
  if (!row) return fail(ErrorCode::corrupt, fmt::format("no answer to {}", sql));
  return run.integer(0);
}

void Connection::give_up() noexcept {
  if (in_transaction()) sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }

Result<Statement*> StatementCache::get(Connection& connection, const char* sql) {
  auto& prepared = statements_[sql];
  if (!prepared.handle()) {
    SABLE_TRY(prepared, connection.prepare(sql));
  }
  return &prepared;
}

Run::~Run() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

Run& Run::bind(int64_t value) {
  SABLE_CHECK(sqlite3_bind_int64(handle_, ++n_bound_, value) == SQLITE_OK);
  return *this;
}

Run& Run::bind(std::string_view text) {
  // An empty view may have a null pointer, which SQLite would take for NULL.
  const char* data = text.data() ? text.data() : "";
  SABLE_CHECK(sqlite3_bind_text64(handle_, ++n_bound_, data, text.size(), SQLITE_STATIC,
                                  SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

Run& Run::bind(std::span<const uint8_t> bytes) {
  const void* data = bytes.data() ? static_cast<const void*>(bytes.data()) : "";
  SABLE_CHECK(sqlite3_bind_blob64(handle_, ++n_bound_, data, bytes.size(), SQLITE_STATIC) ==
              SQLITE_OK);
  return *this;
}

Result<bool> Run::next() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail_sqlite(sqlite3_db_handle(handle_), code);
}

Result<void> Run::finish() {
  while (true) {
    SABLE_TRY(const bool row, next());
    if (!row) return {};
  }
}

int64_t Run::integer(int column) const { return sqlite3_column_int64(handle_, column); }

// As bytes even where it is text: a text would be copied for the zero behind it.
std::span<const uint8_t> Run::bytes(int column) const {
  const auto* data = static_cast<const uint8_t*>(sqlite3_column_blob(handle_, column));
  if (data) return {data, static_cast<size_t>(sqlite3_column_bytes(handle_, column))};
  // Null is also the answer where a value that has to be converted finds no memory.
  if (sqlite3_errcode(sqlite3_db_handle(handle_)) == SQLITE_NOMEM) throw std::bad_alloc();
  return {};
}

std::string_view Run::text(int column) const {
  const auto data = bytes(column);
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

}  // namespace sable::memory
