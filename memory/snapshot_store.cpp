// Saving and finding snapshots: the index says what is there, the segments hold it.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fmt/format.h>

#include "memory/file_lock.h"
#include "memory/out_of_memory.h"
#include "memory/schema.h"
#include "memory/session_lock.h"
#include "memory/snapshot_eviction.h"
#include "memory/snapshot_index.h"
#include "memory/snapshot_key.h"
#include "memory/snapshot_lookup.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

// Saving starts anew when another process evicts the prefix that it builds on.
constexpr int kAttemptsMax = 3;

// Of a stream that is longer: more than are read before all of its keys are known.
constexpr size_t kBlocksAhead = 512;

// Left by a process that met a damaged index; the next one that is alone throws it away.
constexpr const char* kDamageMark = "index.damaged";

struct NewBlock {
  Digest key;
  EntryPlace place;
};

/// What was appended to a segment and the index does not know yet.
struct Written {
  StoredChain before;
  std::vector<NewBlock> blocks;
  EntryPlace position;
};

uint64_t free_bytes(const fs::path& folder) {
  struct statvfs info;
  if (::statvfs(folder.c_str(), &info) != 0) return UINT64_MAX;
  return uint64_t{info.f_bavail} * info.f_frsize;
}

/// Tells errors of the source from those of the store.
class NotedSource : public SnapshotSource {
 public:
  explicit NotedSource(SnapshotSource& source) : source_(source) {}
  Result<void> block(uint64_t index, std::vector<std::byte>& bytes) override {
    return note(source_.block(index, bytes));
  }
  Result<void> position(std::vector<std::byte>& bytes) override {
    return note(source_.position(bytes));
  }
  bool failed = false;

 private:
  Result<void> note(Result<void> result) {
    failed = !result;
    return result;
  }
  SnapshotSource& source_;
};

class FileSnapshotStore : public SnapshotStore {
 public:
  FileSnapshotStore(fs::path home, UniqueFd lock, SnapshotIndex index, SnapshotOptions options)
      : cache_(home / "cache"),
        locks_(home / "locks"),
        lock_(std::move(lock)),
        folder_(cache_),
        options_(std::move(options)),
        index_(std::move(index)) {}

  Result<SaveReport> save(const std::string& session, TokenStream stream,
                          SnapshotSource& source) override {
    NotedSource from(source);
    auto saved = unless_out_of_memory([&] { return save_stream(session, stream, from); });
    return from.failed ? saved : noted(std::move(saved));
  }

  Result<std::unique_ptr<SnapshotReader>> find(TokenStream stream,
                                               const std::string& session) override {
    return noted(unless_out_of_memory([&] { return find_prefix(stream, session); }));
  }

  Result<void> share(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    return noted(index_.in_transaction([&] { return index_.share(from, to); }));
  }

  Result<void> forget(const std::string& session) override {
    const std::lock_guard lock(mutex_);
    FreedPlaces freed;
    SABLE_TRY_VOID(
        noted(index_.in_transaction([&] { return index_.drop_session(session, freed); })));
    return unless_out_of_memory([&]() -> Result<void> {
      give_back(index_, folder_, freed);
      return {};
    });
  }

  Result<std::vector<std::string>> sessions() override {
    const std::lock_guard lock(mutex_);
    SABLE_TRY(auto holders, noted(index_.holders()));
    std::vector<std::string> names;
    for (auto& holder : holders) names.push_back(std::move(holder.session));
    return names;
  }

  Result<SnapshotUsage> usage() override {
    const std::lock_guard lock(mutex_);
    return noted(index_.usage());
  }

 private:
  template <class T>
  Result<T> noted(Result<T> result) {
    if (!result && result.error().code == ErrorCode::corrupt) {
      (void)open_private_file(cache_ / kDamageMark);
    }
    return result;
  }

  Result<SaveReport> save_stream(const std::string& session, const TokenStream& stream,
                                 SnapshotSource& source) {
    const auto keys = block_keys(stream);
    const auto tail = stream.tokens.subspan((keys.size() - 1) * kSnapshotBlockTokens);
    const Digest position = position_key(keys.back(), tail);
    const std::lock_guard saving(saving_);
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      SABLE_TRY(const bool there, use_if_stored(position, session));
      if (there) return SaveReport{};
      SABLE_TRY_VOID(make_room_on_disk());
      SABLE_TRY(auto writer, SegmentWriter::claim(folder_, options_.segment_bytes_max));
      SABLE_TRY(const auto written, write(keys, position, source, writer));
      // From here on the index may name the new entries even if its commit seems to fail.
      writer.keep();
      SABLE_TRY(auto kept, kept_positions());
      SABLE_TRY(const auto added, add(session, keys, position, tail, written));
      if (!added) continue;
      SaveReport report{.n_blocks_written = written.blocks.size(),
                        .bytes_written = written.position.bytes};
      for (const NewBlock& block : written.blocks) report.bytes_written += block.place.bytes;
      SABLE_TRY(report.n_snapshots_evicted, stay_within_budget(*added, std::move(kept)));
      return report;
    }
    return fail(ErrorCode::exhausted, "snapshots are evicted faster than this one is written");
  }

  Result<std::unique_ptr<SnapshotReader>> find_prefix(const TokenStream& stream,
                                                      const std::string& session) {
    std::vector<Digest> keys;
    auto begun = begin_reading(stream, keys);
    continue_keys(stream, SIZE_MAX, keys);
    const std::lock_guard lock(mutex_);
    while (true) {
      SABLE_TRY(auto found,
                index_.read_consistently([&] { return longest_stored(index_, keys, stream); }));
      if (!found) return fail(ErrorCode::not_found, "no snapshot of a prefix is stored");
      const int64_t position = found->plan.position.row;
      if (found->sound) {
        if (!begins_with(found->plan, *begun)) begun = std::make_unique<ReadAhead>(folder_);
        auto reader = read_snapshot(std::move(begun), std::move(found->plan), damage_report());
        SABLE_TRY(const bool there, note_use(position, session));
        if (there) return reader;
        begun = std::make_unique<ReadAhead>(folder_);
        continue;  // another process has evicted it since it was found
      }
      FreedPlaces lost;  // where they say they lie is not to be believed
      SABLE_TRY_VOID(index_.in_transaction([&] { return index_.drop_position(position, lost); }));
    }
  }

  /// Hashing a million tokens takes as long as reading megabytes: of a long stream that is stored
  /// the first blocks are read meanwhile. Computes their keys.
  std::unique_ptr<ReadAhead> begin_reading(const TokenStream& stream, std::vector<Digest>& keys) {
    auto begun = std::make_unique<ReadAhead>(folder_);
    if (stream.tokens.size() / kSnapshotBlockTokens < 2 * kBlocksAhead) return begun;
    continue_keys(stream, kBlocksAhead, keys);
    const std::lock_guard lock(mutex_);
    auto head = index_.read_consistently([&]() -> Result<std::optional<std::vector<ReadEntry>>> {
      SABLE_TRY(const auto block, index_.block(keys[kBlocksAhead]));
      if (!block) return std::nullopt;
      return blocks_to(index_, keys, kBlocksAhead, block->number);
    });
    if (!head || !*head) return begun;  // what is wrong is met again
    begun->add(std::move(**head));
    begun->expect(0);
    return begun;
  }

  /// Not where the stored position is nearer to the beginning, or another process was in between.
  static bool begins_with(const ReadPlan& plan, const ReadAhead& begun) {
    const size_t n = begun.size();
    return n <= plan.blocks.size() && (n == 0 || begun.entry(n - 1).row == plan.blocks[n - 1].row);
  }

  /// False when the position has gone. That the use cannot be noted (a full disk) costs nothing.
  Result<bool> note_use(int64_t position, const std::string& session) {
    bool there = true;
    const auto noted_down = index_.in_transaction([&]() -> Result<void> {
      SABLE_TRY(there, index_.has_position(position));
      if (!there) return {};
      return session.empty() ? index_.touch(position) : index_.use(position, session);
    });
    if (!noted_down && noted_down.error().code == ErrorCode::corrupt) {
      return fail(noted_down.error());
    }
    return there;
  }

  Result<bool> use_if_stored(const Digest& position, const std::string& session) {
    const std::lock_guard lock(mutex_);
    SABLE_TRY(const auto there, index_.position(position));
    if (!there) return false;
    SABLE_TRY_VOID(index_.in_transaction([&] { return index_.use(*there, session); }));
    return true;
  }

  Result<Written> write(const std::vector<Digest>& keys, const Digest& position,
                        SnapshotSource& source, SegmentWriter& writer) {
    Written written;
    {
      const std::lock_guard lock(mutex_);
      SABLE_TRY(written.before, longest_chain(index_, keys));
    }
    std::vector<std::byte> bytes;
    for (size_t i = written.before.n_blocks; i + 1 < keys.size(); ++i) {
      bytes.clear();
      SABLE_TRY_VOID(source.block(i, bytes));
      SABLE_TRY(const auto place, writer.append(keys[i + 1], bytes));
      written.blocks.push_back({keys[i + 1], place});
    }
    bytes.clear();
    SABLE_TRY_VOID(source.position(bytes));
    SABLE_TRY(written.position, writer.append(position, bytes));
    SABLE_TRY_VOID(writer.sync());
    return written;
  }

  /// Row of the new position; none when what it builds on has been evicted meanwhile.
  Result<std::optional<int64_t>> add(const std::string& session, const std::vector<Digest>& keys,
                                     const Digest& position, std::span<const int32_t> tail,
                                     const Written& written) {
    const std::lock_guard lock(mutex_);
    std::optional<int64_t> row;
    FreedPlaces unneeded;
    SABLE_TRY_VOID(index_.in_transaction([&]() -> Result<void> {
      int64_t parent = 0;
      SABLE_TRY(const auto base, index_.block(keys[written.before.n_blocks]));
      if (base) {
        parent = base->number;
      } else if (written.before.last != 0) {
        return {};
      } else {
        SABLE_TRY(parent, index_.add_block(keys[0], 0, {}));
      }
      for (const NewBlock& block : written.blocks) {
        SABLE_TRY(const auto there, index_.block(block.key));
        if (there) {
          unneeded.push_back(block.place);  // another process was faster
          parent = there->number;
        } else {
          SABLE_TRY(parent, index_.add_block(block.key, parent, block.place));
        }
      }
      SABLE_TRY(row, index_.position(position));
      if (row) {
        unneeded.push_back(written.position);
      } else {
        SABLE_TRY(row, index_.add_position(position, parent, tail, written.position));
      }
      return index_.use(*row, session);
    }));
    if (!row) {
      for (const NewBlock& block : written.blocks) unneeded.push_back(block.place);
      unneeded.push_back(written.position);
    }
    give_back(index_, folder_, unneeded);
    return row;
  }

  /// What all snapshots may take now.
  uint64_t budget(uint64_t bytes_in_use) const {
    if (options_.bytes_max) return *options_.bytes_max;
    const uint64_t left = free_bytes(cache_);
    const uint64_t room = left > UINT64_MAX - bytes_in_use ? UINT64_MAX : left + bytes_in_use;
    return std::min(kSnapshotBytesMax, room / 4);
  }

  /// The log and the user's files come first.
  Result<void> make_room_on_disk() {
    const uint64_t left = free_bytes(cache_);
    if (left >= options_.free_bytes_min) return {};
    const std::lock_guard lock(mutex_);
    SABLE_TRY(const auto kept, positions_in_use(index_, locks_));
    SABLE_TRY(const auto usage, index_.usage());
    const uint64_t wanted = options_.free_bytes_min - left;
    SABLE_TRY_VOID(
        evict_down_to(index_, folder_, usage.bytes > wanted ? usage.bytes - wanted : 0, kept));
    if (free_bytes(cache_) >= options_.free_bytes_min) return {};
    return fail(ErrorCode::exhausted, "the disk is too full for a snapshot");
  }

  Result<std::vector<int64_t>> kept_positions() {
    const std::lock_guard lock(mutex_);
    return positions_in_use(index_, locks_);
  }

  /// Evicts others for the new snapshot; the new one itself when that is not enough. `kept` is from
  /// before it, so that its session has its last one in any case.
  Result<uint64_t> stay_within_budget(int64_t fresh, std::vector<int64_t> kept) {
    const std::lock_guard lock(mutex_);
    kept.insert(std::upper_bound(kept.begin(), kept.end(), fresh), fresh);
    SABLE_TRY(const auto before, index_.usage());
    const uint64_t bytes_max = budget(before.bytes);
    if (before.bytes <= bytes_max) return 0;
    SABLE_TRY(const auto n_evicted, evict_down_to(index_, folder_, bytes_max, kept));
    SABLE_TRY(const auto usage, index_.usage());
    if (usage.bytes <= bytes_max) return n_evicted;
    FreedPlaces freed;
    SABLE_TRY_VOID(index_.in_transaction([&] { return index_.drop_position(fresh, freed); }));
    give_back(index_, folder_, freed);
    return fail(ErrorCode::exhausted,
                fmt::format("the snapshot does not fit into {} bytes beside those of live sessions",
                            bytes_max));
  }

  DamageReport damage_report() {
    const auto drop = [this](const ReadEntry& entry, bool is_block) {
      options_.log.warning("a snapshot is damaged or gone; it is dropped",
                           {{"segment", entry.place.segment}, {"offset", entry.place.offset}});
      const std::lock_guard lock(mutex_);
      FreedPlaces freed;
      const auto dropped = index_.in_transaction([&] {
        return is_block ? index_.drop_block(entry.row, freed)
                        : index_.drop_position(entry.row, freed);
      });
      if (dropped) give_back(index_, folder_, freed);
    };
    return {[drop](const ReadEntry& entry) { drop(entry, true); },
            [drop](const ReadEntry& entry) { drop(entry, false); }};
  }

  const fs::path cache_, locks_;
  const UniqueFd lock_;  ///< shared, for as long as the store is open
  const SegmentFolder folder_;
  const SnapshotOptions options_;
  std::mutex saving_;  ///< one save at a time, so that a chain's blocks lie side by side
  std::mutex mutex_;   ///< of the index
  SnapshotIndex index_;
};

/// Throws everything away. The caller is alone.
Result<void> wipe(const fs::path& cache) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(cache, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename() != "lock") files.push_back(it->path());
  }
  for (const fs::path& file : files) {
    if (!fs::remove(file, error) && error) return fail_errno(file.string(), error.value());
  }
  return {};
}

Result<SnapshotIndex> open_index(const fs::path& cache) {
  SABLE_TRY_VOID(open_private_file(cache / "index.db"));
  return SnapshotIndex::open(cache / "index.db");
}

/// Alone: what cannot be read is thrown away, what processes that died left is freed.
Result<SnapshotIndex> prepare_index(const fs::path& cache, const Log& log) {
  std::error_code ignored;
  const bool known_damage = fs::exists(cache / kDamageMark, ignored);
  auto index = known_damage ? fail(ErrorCode::corrupt, "its index is damaged") : open_index(cache);
  if (!index) {
    const ErrorCode code = index.error().code;
    if (code != ErrorCode::corrupt && code != ErrorCode::unsupported) return index;
    log.warning("the stored snapshots cannot be read and are thrown away",
                {{"error", index.error().message}});
    SABLE_TRY_VOID(wipe(cache));
    SABLE_TRY(index, open_index(cache));
  }
  SABLE_TRY_VOID(reconcile(*index, SegmentFolder(cache)));
  return index;
}

Result<std::unique_ptr<SnapshotStore>> open_snapshots(const fs::path& home,
                                                      SnapshotOptions options) {
  const fs::path cache = home / "cache";
  SABLE_TRY_VOID(make_private_folder(cache));
  SABLE_TRY(auto lock, open_private_file(cache / "lock"));
  const bool alone = try_lock(lock.get(), LockKind::alone);
  if (!alone && !wait_for_lock(lock.get(), LockKind::shared)) {
    return fail_errno(cache.string() + ": lock", errno);
  }
  SABLE_TRY(auto index, alone ? prepare_index(cache, options.log) : open_index(cache));
  if (alone && !try_lock(lock.get(), LockKind::shared)) {
    return fail_errno(cache.string() + ": lock", errno);
  }
  return std::make_unique<FileSnapshotStore>(home, std::move(lock), std::move(index),
                                             std::move(options));
}

}  // namespace

Result<std::unique_ptr<SnapshotStore>> SnapshotStore::open(const fs::path& home,
                                                           SnapshotOptions options) {
  return unless_out_of_memory([&] { return open_snapshots(home, std::move(options)); });
}

}  // namespace sable::memory
