#include "memory/snapshot_index.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "memory/out_of_memory.h"

namespace sable::memory {

namespace {

constexpr int32_t kIndexApplicationId = 0x53624361;  // "SbCa"
constexpr int kVersion = 2;

constexpr const char* kSchema = R"sql(
CREATE TABLE block(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  key BLOB NOT NULL UNIQUE,
  parent INTEGER NOT NULL,                   -- 0: this one stands for the engine, without bytes
  segment INTEGER NOT NULL,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE INDEX block_by_parent ON block(parent);
CREATE INDEX block_by_place ON block(segment, at, bytes);
CREATE TABLE position(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  key BLOB NOT NULL UNIQUE,
  block INTEGER NOT NULL,
  tail BLOB NOT NULL,                        -- tokens behind the block, 4 bytes each
  segment INTEGER NOT NULL,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  used INTEGER NOT NULL                      -- grows with each use: an order, no time
);
CREATE INDEX position_by_block ON position(block);
CREATE INDEX position_by_place ON position(segment, at, bytes);
CREATE INDEX position_by_use ON position(used);
CREATE TABLE user(
  session TEXT NOT NULL,
  position INTEGER NOT NULL,
  used INTEGER NOT NULL,
  PRIMARY KEY(session, position)
) WITHOUT ROWID;
CREATE INDEX user_by_position ON user(position);
)sql";

EntryPlace place_in(const Run& run, int first) {
  return {static_cast<uint64_t>(run.integer(first)), static_cast<uint64_t>(run.integer(first + 1)),
          static_cast<uint64_t>(run.integer(first + 2))};
}

Result<void> create_if_empty(Connection& connection) {
  SABLE_TRY(const auto objects, connection.integer("SELECT count(*) FROM sqlite_schema"));
  if (objects > 0) return {};
  SABLE_TRY_VOID(connection.execute("BEGIN EXCLUSIVE"));
  SABLE_TRY_VOID(connection.execute(kSchema));
  const auto marks = fmt::format("PRAGMA application_id={}; PRAGMA user_version={}; COMMIT",
                                 kIndexApplicationId, kVersion);
  return connection.execute(marks.c_str());
}

}  // namespace

Result<SnapshotIndex> SnapshotIndex::open(const std::filesystem::path& file) {
  SABLE_TRY(auto connection, Connection::open(file, OpenMode::read_write));
  // NORMAL: a power cut may take the newest entries, which costs a prefill; it damages nothing.
  SABLE_TRY_VOID(connection.execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=1000"));
  SABLE_TRY_VOID(create_if_empty(connection));
  SABLE_TRY(const auto application, connection.integer("PRAGMA application_id"));
  SABLE_TRY(const auto version, connection.integer("PRAGMA user_version"));
  if (application != kIndexApplicationId || version != kVersion) {
    return fail(ErrorCode::unsupported, "the index of snapshots has another version");
  }
  return SnapshotIndex(std::move(connection));
}

Result<void> SnapshotIndex::in_transaction(const std::function<Result<void>()>& work) {
  SABLE_TRY_VOID(connection_.execute("BEGIN IMMEDIATE"));
  auto done = unless_out_of_memory([&]() -> Result<void> {
    SABLE_TRY_VOID(work());
    return connection_.execute("COMMIT");
  });
  if (!done) connection_.give_up();
  return done;
}

Result<std::optional<StoredBlock>> SnapshotIndex::block(const Digest& key) {
  SABLE_TRY(auto* select, statement("SELECT number, segment, at, bytes FROM block WHERE key = ?"));
  Run run(*select);
  run.bind(std::span<const uint8_t>(key));
  SABLE_TRY(const bool found, run.next());
  if (!found) return std::nullopt;
  return StoredBlock{run.integer(0), place_in(run, 1)};
}

Result<std::vector<StoredBlock>> SnapshotIndex::chain_to(int64_t last,
                                                         std::span<const Digest> keys) {
  // Blocks of one save have numbers in a row: most steps to a parent are steps to the row before.
  constexpr int kRowsPassedMax = 64;
  SABLE_TRY(auto* select, statement("SELECT number, parent, key, segment, at, bytes FROM block "
                                    "WHERE number <= ? ORDER BY number DESC"));
  std::vector<StoredBlock> chain(keys.size());
  int64_t wanted = last;
  for (size_t left = keys.size(); left > 0;) {
    Run run(*select);
    run.bind(wanted);
    for (int n_passed = 0; left > 0 && n_passed <= kRowsPassedMax;) {
      SABLE_TRY(const bool row, run.next());
      if (!row || run.integer(0) < wanted) return std::vector<StoredBlock>();
      if (run.integer(0) > wanted) {
        ++n_passed;
        continue;
      }
      const auto key = run.bytes(2);
      if (!std::equal(key.begin(), key.end(), keys[left - 1].begin(), keys[left - 1].end())) {
        return std::vector<StoredBlock>();
      }
      chain[--left] = {wanted, place_in(run, 3)};
      wanted = run.integer(1);
      n_passed = 0;
    }
  }
  return chain;
}

Result<std::optional<StoredBlock>> SnapshotIndex::parent_of(int64_t block) {
  SABLE_TRY(auto* select,
            statement("SELECT p.number, p.segment, p.at, p.bytes FROM block b JOIN block p ON "
                      "p.number = b.parent WHERE b.number = ?"));
  Run run(*select);
  run.bind(block);
  SABLE_TRY(const bool found, run.next());
  if (!found) return std::nullopt;
  return StoredBlock{run.integer(0), place_in(run, 1)};
}

Result<std::vector<StoredPosition>> SnapshotIndex::positions_behind(int64_t block) {
  SABLE_TRY(auto* select,
            statement("SELECT number, segment, at, bytes, tail FROM position WHERE block = ?"));
  Run run(*select);
  run.bind(block);
  std::vector<StoredPosition> positions;
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return positions;
    StoredPosition position{run.integer(0), place_in(run, 1), {}};
    const auto tail = run.bytes(4);
    if (!is_possible(position.place) || tail.size() % sizeof(int32_t) != 0 ||
        tail.size() >= kSnapshotBlockTokens * sizeof(int32_t)) {
      continue;
    }
    position.tail.resize(tail.size() / sizeof(int32_t));
    if (!tail.empty()) std::memcpy(position.tail.data(), tail.data(), tail.size());
    positions.push_back(std::move(position));
  }
}

Result<std::optional<int64_t>> SnapshotIndex::position(const Digest& key) {
  SABLE_TRY(auto* select, statement("SELECT number FROM position WHERE key = ?"));
  Run run(*select);
  run.bind(std::span<const uint8_t>(key));
  SABLE_TRY(const bool found, run.next());
  if (!found) return std::nullopt;
  return run.integer(0);
}

Result<bool> SnapshotIndex::has_position(int64_t number) {
  SABLE_TRY(auto* select, statement("SELECT 1 FROM position WHERE number = ?"));
  Run run(*select);
  run.bind(number);
  return run.next();
}

Result<int64_t> SnapshotIndex::add_block(const Digest& key, int64_t parent,
                                         const EntryPlace& place) {
  SABLE_TRY(auto* insert, statement("INSERT INTO block(key, parent, segment, at, bytes) VALUES(?, "
                                    "?, ?, ?, ?) RETURNING number"));
  Run run(*insert);
  run.bind(std::span<const uint8_t>(key))
      .bind(parent)
      .bind(static_cast<int64_t>(place.segment))
      .bind(static_cast<int64_t>(place.offset))
      .bind(static_cast<int64_t>(place.bytes));
  SABLE_TRY(const bool row, run.next());
  const int64_t number = row ? run.integer(0) : 0;
  SABLE_TRY_VOID(run.finish());
  return number;
}

Result<int64_t> SnapshotIndex::add_position(const Digest& key, int64_t block,
                                            std::span<const int32_t> tail,
                                            const EntryPlace& place) {
  SABLE_TRY(auto* insert,
            statement("INSERT INTO position(key, block, tail, segment, at, bytes, used) VALUES(?, "
                      "?, ?, ?, ?, ?, 0) RETURNING number"));
  Run run(*insert);
  run.bind(std::span<const uint8_t>(key))
      .bind(block)
      .bind(std::span(reinterpret_cast<const uint8_t*>(tail.data()), tail.size_bytes()))
      .bind(static_cast<int64_t>(place.segment))
      .bind(static_cast<int64_t>(place.offset))
      .bind(static_cast<int64_t>(place.bytes));
  SABLE_TRY(const bool row, run.next());
  const int64_t number = row ? run.integer(0) : 0;
  SABLE_TRY_VOID(run.finish());
  return number;
}

Result<void> SnapshotIndex::touch(int64_t position) {
  SABLE_TRY(auto* update, statement("UPDATE position SET used = (SELECT max(used) + 1 FROM "
                                    "position) WHERE number = ?"));
  return Run(*update).bind(position).finish();
}

Result<void> SnapshotIndex::use(int64_t position, const std::string& session) {
  SABLE_TRY_VOID(touch(position));
  SABLE_TRY(auto* insert,
            statement("INSERT OR REPLACE INTO user(session, position, used) VALUES(?, ?, (SELECT "
                      "max(used) FROM position))"));
  return Run(*insert).bind(session).bind(position).finish();
}

Result<void> SnapshotIndex::share(const std::string& from, const std::string& to) {
  SABLE_TRY(auto* insert,
            statement("INSERT OR REPLACE INTO user(session, position, used) SELECT ?2, position, "
                      "used FROM user WHERE session = ?1 ORDER BY used DESC LIMIT 1"));
  return Run(*insert).bind(from).bind(to).finish();
}

Result<std::vector<SnapshotIndex::Holder>> SnapshotIndex::holders() {
  // With max() the other columns come from the row that has it (SQLite, "Bare columns").
  SABLE_TRY(auto* select,
            statement("SELECT session, position, max(used) FROM user GROUP BY session"));
  std::vector<Holder> holders;
  Run run(*select);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return holders;
    holders.push_back({std::string(run.text(0)), run.integer(1)});
  }
}

Result<std::vector<int64_t>> SnapshotIndex::positions_by_last_use() {
  SABLE_TRY(auto* select, statement("SELECT number FROM position ORDER BY used, number"));
  std::vector<int64_t> positions;
  Run run(*select);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return positions;
    positions.push_back(run.integer(0));
  }
}

/// Takes the row only; returns through `freed` what it named.
Result<void> SnapshotIndex::erase_position(int64_t position, FreedPlaces& freed) {
  SABLE_TRY(auto* forget, statement("DELETE FROM user WHERE position = ?"));
  SABLE_TRY_VOID(Run(*forget).bind(position).finish());
  SABLE_TRY(auto* erase,
            statement("DELETE FROM position WHERE number = ? RETURNING segment, at, bytes"));
  Run run(*erase);
  run.bind(position);
  SABLE_TRY(const bool found, run.next());
  if (found && is_possible(place_in(run, 0))) freed.push_back(place_in(run, 0));
  return run.finish();
}

/// From the last block of a chain upwards, as long as nothing else builds on it.
Result<void> SnapshotIndex::drop_unneeded_blocks(int64_t last, FreedPlaces& freed) {
  SABLE_TRY(auto* erase,
            statement("DELETE FROM block WHERE number = ?1 AND NOT EXISTS(SELECT 1 FROM block "
                      "WHERE parent = ?1) AND NOT EXISTS(SELECT 1 FROM position WHERE block = "
                      "?1) RETURNING parent, segment, at, bytes"));
  for (int64_t block = last; block != 0;) {
    Run run(*erase);
    run.bind(block);
    SABLE_TRY(const bool gone, run.next());
    if (!gone) return {};
    const EntryPlace place = place_in(run, 1);
    if (place.bytes > 0 && is_possible(place)) freed.push_back(place);
    block = run.integer(0);
    SABLE_TRY_VOID(run.finish());
  }
  return {};
}

Result<void> SnapshotIndex::drop_position(int64_t position, FreedPlaces& freed) {
  int64_t block = 0;
  {
    SABLE_TRY(auto* select, statement("SELECT block FROM position WHERE number = ?"));
    Run run(*select);
    run.bind(position);
    SABLE_TRY(const bool found, run.next());
    if (!found) return {};
    block = run.integer(0);
  }
  SABLE_TRY_VOID(erase_position(position, freed));
  return drop_unneeded_blocks(block, freed);
}

Result<void> SnapshotIndex::drop_block(int64_t block, FreedPlaces& freed) {
  std::vector<int64_t> positions;
  int64_t parent = 0;
  {
    SABLE_TRY(auto* select, statement("SELECT parent FROM block WHERE number = ?"));
    Run run(*select);
    run.bind(block);
    SABLE_TRY(const bool found, run.next());
    if (!found) return {};
    parent = run.integer(0);
  }
  {
    SABLE_TRY(auto* select,
              statement("WITH RECURSIVE below(number) AS (SELECT ?1 UNION SELECT b.number FROM "
                        "block b JOIN below ON b.parent = below.number) SELECT p.number FROM "
                        "position p JOIN below ON p.block = below.number"));
    Run run(*select);
    run.bind(block);
    while (true) {
      SABLE_TRY(const bool row, run.next());
      if (!row) break;
      positions.push_back(run.integer(0));
    }
  }
  for (const int64_t position : positions) {
    SABLE_TRY_VOID(erase_position(position, freed));
  }
  {
    SABLE_TRY(auto* erase,
              statement("WITH RECURSIVE below(number) AS (SELECT ?1 UNION SELECT b.number FROM "
                        "block b JOIN below ON b.parent = below.number) DELETE FROM block WHERE "
                        "number IN below RETURNING segment, at, bytes"));
    Run run(*erase);
    run.bind(block);
    while (true) {
      SABLE_TRY(const bool row, run.next());
      if (!row) break;
      const EntryPlace place = place_in(run, 0);
      if (place.bytes > 0 && is_possible(place)) freed.push_back(place);
    }
  }
  return drop_unneeded_blocks(parent, freed);
}

Result<void> SnapshotIndex::drop_session(const std::string& session, FreedPlaces& freed) {
  std::vector<int64_t> only_its;
  {
    SABLE_TRY(auto* select,
              statement("SELECT position FROM user u WHERE session = ?1 AND NOT EXISTS(SELECT 1 "
                        "FROM user o WHERE o.position = u.position AND o.session <> ?1)"));
    Run run(*select);
    run.bind(session);
    while (true) {
      SABLE_TRY(const bool row, run.next());
      if (!row) break;
      only_its.push_back(run.integer(0));
    }
  }
  for (const int64_t position : only_its) {
    SABLE_TRY_VOID(drop_position(position, freed));
  }
  SABLE_TRY(auto* forget, statement("DELETE FROM user WHERE session = ?"));
  return Run(*forget).bind(session).finish();
}

Result<SnapshotUsage> SnapshotIndex::usage() {
  SABLE_TRY(auto* select,
            statement("SELECT segment, at, bytes, 1 AS is_block FROM block WHERE bytes > 0 UNION "
                      "ALL SELECT segment, at, bytes, 0 FROM position ORDER BY 1, 2"));
  Run run(*select);
  SnapshotUsage usage;
  uint64_t segment = 0, end = 0;  // of the disk blocks that are counted
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return usage;
    ++(run.integer(3) != 0 ? usage.n_blocks : usage.n_snapshots);
    const EntryPlace place = place_in(run, 0);
    if (!is_possible(place)) continue;
    if (place.segment != segment) end = 0;
    segment = place.segment;
    const uint64_t begin = std::max(end, block_begin(place.offset));
    end = std::max(end, block_end(place.end()));
    usage.bytes += end - std::min(begin, end);
  }
}

Result<std::vector<EntryPlace>> SnapshotIndex::places_in(uint64_t segment) {
  SABLE_TRY(auto* select,
            statement("SELECT segment, at, bytes FROM block WHERE segment = ?1 UNION ALL SELECT "
                      "segment, at, bytes FROM position WHERE segment = ?1 ORDER BY 2"));
  Run run(*select);
  run.bind(static_cast<int64_t>(segment));
  std::vector<EntryPlace> places;
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return places;
    places.push_back(place_in(run, 0));
  }
}

Result<SnapshotIndex::Neighbours> SnapshotIndex::neighbours(const EntryPlace& place) {
  const auto ask = [&](const char* sql) -> Result<std::optional<uint64_t>> {
    SABLE_TRY(auto* select, statement(sql));
    Run run(*select);
    run.bind(static_cast<int64_t>(place.segment)).bind(static_cast<int64_t>(place.offset));
    SABLE_TRY(const bool found, run.next());
    if (!found) return std::nullopt;
    return static_cast<uint64_t>(run.integer(0));
  };
  Neighbours around;
  for (const char* before :
       {"SELECT at + bytes FROM block WHERE segment = ? AND at < ? ORDER BY at DESC LIMIT 1",
        "SELECT at + bytes FROM position WHERE segment = ? AND at < ? ORDER BY at DESC LIMIT 1"}) {
    SABLE_TRY(const auto end, ask(before));
    if (end) around.end_before = std::max(around.end_before, *end);
  }
  for (const char* next :
       {"SELECT at FROM block WHERE segment = ? AND at >= ? ORDER BY at LIMIT 1",
        "SELECT at FROM position WHERE segment = ? AND at >= ? ORDER BY at LIMIT 1"}) {
    SABLE_TRY(const auto begin, ask(next));
    if (begin) around.next = std::min(around.next, *begin);
  }
  return around;
}

Result<bool> SnapshotIndex::names_segment(uint64_t segment) {
  SABLE_TRY(auto* select,
            statement("SELECT 1 WHERE EXISTS(SELECT 1 FROM block WHERE segment = ?1) OR "
                      "EXISTS(SELECT 1 FROM position WHERE segment = ?1)"));
  Run run(*select);
  run.bind(static_cast<int64_t>(segment));
  return run.next();
}

}  // namespace sable::memory
