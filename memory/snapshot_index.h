// Which blocks and positions are stored, and where: SQLite, because several processes share it and
// any of them may die. It is a cache of a cache: an entry that is wrong is found out when its bytes
// are read (snapshot_segment.h).
#pragma once

#include <functional>
#include <optional>

#include "memory/snapshot_segment.h"
#include "memory/sqlite.h"

namespace sable::memory {

/// A stored block. Its parent is always stored too; number 0 is none.
struct StoredBlock {
  int64_t number = 0;
  EntryPlace place;
};

struct StoredPosition {
  int64_t number = 0;
  EntryPlace place;
  std::vector<int32_t> tail;  ///< tokens behind the last block
};

/// Space that no row names any more.
using FreedPlaces = std::vector<EntryPlace>;

/// One connection; one thread at a time.
class SnapshotIndex {
 public:
  /// Creates the tables in an empty file. Errors: corrupt or unsupported when the file has to be
  /// thrown away; io.
  static Result<SnapshotIndex> open(const std::filesystem::path& file);

  /// Runs `work` in a transaction of its own, undone when it fails.
  Result<void> in_transaction(const std::function<Result<void>()>& work);

  /// Answers questions from one state of the index, and without a lock for each.
  template <class Question>
  auto read_consistently(Question question) -> decltype(question()) {
    SABLE_TRY_VOID(connection_.execute("BEGIN"));
    auto answer = question();
    if (connection_.in_transaction()) (void)connection_.execute("COMMIT");
    return answer;
  }

  /// The block of this key; none when it is not stored.
  Result<std::optional<StoredBlock>> block(const Digest& key);
  Result<std::optional<StoredBlock>> parent_of(int64_t block);
  /// The blocks of these keys, each the parent of the one behind it, the last with this number.
  /// Empty where the index holds no such chain.
  Result<std::vector<StoredBlock>> chain_to(int64_t last, std::span<const Digest> keys);
  Result<std::vector<StoredPosition>> positions_behind(int64_t block);
  Result<std::optional<int64_t>> position(const Digest& key);

  Result<bool> has_position(int64_t number);

  Result<int64_t> add_block(const Digest& key, int64_t parent, const EntryPlace& place);
  Result<int64_t> add_position(const Digest& key, int64_t block, std::span<const int32_t> tail,
                               const EntryPlace& place);
  /// Notes that a session uses a position now: its newest snapshot.
  Result<void> use(int64_t position, const std::string& session);
  Result<void> touch(int64_t position);  ///< used now, by whomever
  /// The newest position of one session becomes another one's too; it does not count as a use.
  Result<void> share(const std::string& from, const std::string& to);

  /// Sessions that have snapshots, each with its newest one.
  struct Holder {
    std::string session;
    int64_t newest = 0;
  };
  Result<std::vector<Holder>> holders();
  Result<std::vector<int64_t>> positions_by_last_use();  ///< longest unused first

  /// Takes a position away, and the blocks that only it needed.
  Result<void> drop_position(int64_t position, FreedPlaces& freed);
  /// Takes a block away with everything that builds on it.
  Result<void> drop_block(int64_t block, FreedPlaces& freed);
  /// Takes away what only this session used.
  Result<void> drop_session(const std::string& session, FreedPlaces& freed);

  Result<SnapshotUsage> usage();  ///< counts the disk blocks that entries share once
  Result<std::vector<EntryPlace>> places_in(uint64_t segment);  ///< by offset
  /// Where the entry ends that begins before this place, and where the next one begins: between
  /// them is what no row names. UINT64_MAX when none follows.
  struct Neighbours {
    uint64_t end_before = 0, next = UINT64_MAX;
  };
  Result<Neighbours> neighbours(const EntryPlace& place);
  Result<bool> names_segment(uint64_t segment);

 private:
  explicit SnapshotIndex(Connection connection) : connection_(std::move(connection)) {}
  Result<Statement*> statement(const char* sql) { return statements_.get(connection_, sql); }
  Result<void> erase_position(int64_t position, FreedPlaces& freed);
  Result<void> drop_unneeded_blocks(int64_t last, FreedPlaces& freed);
  Result<std::optional<StoredBlock>> block_where(const char* sql, int64_t argument);

  Connection connection_;
  StatementCache statements_;
};

}  // namespace sable::memory
