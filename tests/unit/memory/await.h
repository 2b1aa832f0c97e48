// Runs one of the store's coroutines to its end, as a command-line program would.
#pragma once

#include <sqlite3.h>

#include <catch2/catch.hpp>

#include "memory/memory.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

namespace sable::test {

template <class T>
Result<T> await(asio::awaitable<Result<T>> work) {
  return run(std::move(work));
}

/// As above where an error is a failed test.
template <class T>
T must(asio::awaitable<Result<T>> work) {
  auto result = await(std::move(work));
  INFO((result ? std::string() : result.error().message));
  REQUIRE(result.has_value());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline std::unique_ptr<memory::Store> open_store(const std::filesystem::path& home,
                                                 memory::StoreOptions options = {}) {
  auto store = memory::Store::open(home, options);
  INFO((store ? std::string() : store.error().message));
  REQUIRE(store.has_value());
  return std::move(*store);
}

inline memory::NewEvent note(int number) { return {"note.added", Json{{"number", number}}}; }

inline std::vector<memory::NewEvent> notes(int first, int last) {
  std::vector<memory::NewEvent> events;
  for (int i = first; i <= last; ++i) events.push_back(note(i));
  return events;
}

/// Does to a database what only a stranger would, through a connection of its own.
inline void tamper(const std::filesystem::path& home, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((home / "sable.db").c_str(), &database) == SQLITE_OK);
  char* error = nullptr;
  const int code = sqlite3_exec(database, sql, nullptr, nullptr, &error);
  INFO((error ? error : ""));
  CHECK(code == SQLITE_OK);
  sqlite3_free(error);
  sqlite3_close(database);
}

}  // namespace sable::test
