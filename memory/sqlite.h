// SQLite as values that own what they open: a connection, a prepared statement, one run of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sable::memory {

enum class OpenMode { read_write, read_only };

class Statement;

/// One connection, used by one thread at a time. Closes on destruction; its statements must be gone
/// by then (members declared after it are).
class Connection {
 public:
  /// Opens an existing file with everything switched off that a hostile file could use: no
  /// extension loading, untrusted schema, defensive mode, cell checks, no memory mapping.
  static Result<Connection> open(const std::filesystem::path& file, OpenMode mode);
  static Result<Connection> open_in_memory();

  Connection() = default;  ///< none
  Connection(Connection&&) noexcept = default;
  Connection& operator=(Connection&&) noexcept = default;

  Result<void> execute(const char* sql);
  Result<Statement> prepare(std::string_view sql);
  /// The single integer that a query or pragma answers.
  Result<int64_t> integer(const char* sql);

  /// Ends the transaction, if one is open, as if it had not been; needs no memory of its own.
  void give_up() noexcept;
  /// Whether a BEGIN is open; SQLite ends a transaction itself after some errors.
  bool in_transaction() const;
  /// Pages in the write-ahead log after the last commit of this connection.
  int wal_pages() const { return *wal_pages_; }
  sqlite3* handle() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  static Result<Connection> open_file(const char* name, int flags);
  std::unique_ptr<int> wal_pages_ =
      std::make_unique<int>(0);  // written by a hook: a stable address
  std::unique_ptr<sqlite3, Close> handle_;
};

/// Owns one prepared statement.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
  sqlite3_stmt* handle() const { return handle_.get(); }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// Statements of one connection, each prepared once. Declared after its connection.
class StatementCache {
 public:
  Result<Statement*> get(Connection& connection, const char* sql);  ///< `sql` is a literal

 private:
  std::map<const char*, Statement> statements_;  // by the literal's address
};

/// One run of a statement: bind the parameters in order, then next() until it answers false. Resets
/// the statement at its end, so that no read transaction stays open behind it.
class Run {
 public:
  explicit Run(Statement& statement) : handle_(statement.handle()) {}
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Text and bytes are borrowed until the run ends.
  Run& bind(int64_t value);
  Run& bind(std::string_view text);
  Run& bind(std::span<const uint8_t> bytes);

  Result<bool> next();    ///< true: a row is there
  Result<void> finish();  ///< runs to the end; rows are passed over

  /// Columns of the current row, from 0; views live until the next call of next(). NULL is empty.
  /// Throws std::bad_alloc where a number has to be made a text and finds no memory.
  int64_t integer(int column) const;
  std::string_view text(int column) const;
  std::span<const uint8_t> bytes(int column) const;

 private:
  sqlite3_stmt* handle_;
  int n_bound_ = 0;
};

/// What SQLite's extended result code means to a caller: exhausted for a full disk, corrupt for
/// damage, unsupported for read-only, io for the rest.
tl::unexpected<Error> fail_sqlite(sqlite3* handle, int code);

}  // namespace sable::memory
