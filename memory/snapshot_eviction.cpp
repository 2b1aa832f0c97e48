#include "memory/snapshot_eviction.h"

#include <algorithm>
#include <set>
#include <sys/stat.h>
#include <utility>

#include "memory/session_lock.h"

namespace sable::memory {

namespace {

// Positions that one transaction drops, so that other processes get their turn.
constexpr size_t kDropsPerTransaction = 16;

/// In order; places side by side become one, so that a disk block they share lies inside of it.
FreedPlaces merged(FreedPlaces places) {
  std::sort(places.begin(), places.end(), [](const EntryPlace& a, const EntryPlace& b) {
    return std::pair(a.segment, a.offset) < std::pair(b.segment, b.offset);
  });
  FreedPlaces runs;
  for (const EntryPlace& place : places) {
    if (!runs.empty() && runs.back().segment == place.segment &&
        runs.back().end() >= place.offset) {
      runs.back().bytes = std::max(runs.back().end(), place.end()) - runs.back().offset;
    } else {
      runs.push_back(place);
    }
  }
  return runs;
}

/// Frees the disk blocks of a run in which no entry lies that is still named.
void free_unnamed(SnapshotIndex& index, const SegmentFolder& folder, const EntryPlace& run) {
  const auto around = index.neighbours(run);
  if (!around) return;  // reconcile() does it
  folder.free(run.segment, std::max(block_begin(run.offset), around->end_before),
              std::min(block_end(run.end()), around->next));
}

}  // namespace

Result<std::vector<int64_t>> positions_in_use(SnapshotIndex& index,
                                              const std::filesystem::path& locks) {
  SABLE_TRY(const auto holders, index.holders());
  std::vector<int64_t> kept;
  for (const auto& holder : holders) {
    if (live_owner(locks, holder.session)) kept.push_back(holder.newest);
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

void give_back(SnapshotIndex& index, const SegmentFolder& folder, const FreedPlaces& freed) {
  std::set<uint64_t> segments;
  for (const EntryPlace& place : freed) segments.insert(place.segment);
  for (const uint64_t segment : segments) {
    const auto named = index.names_segment(segment);
    if (named && !*named) folder.remove_if_unused(segment);
  }
  for (const EntryPlace& run : merged(freed)) free_unnamed(index, folder, run);
}

Result<uint64_t> evict_down_to(SnapshotIndex& index, const SegmentFolder& folder, uint64_t bytes,
                               const std::vector<int64_t>& kept) {
  SABLE_TRY(auto usage, index.usage());
  if (usage.bytes <= bytes) return 0;
  SABLE_TRY(auto candidates, index.positions_by_last_use());
  std::erase_if(candidates, [&](int64_t position) {
    return std::binary_search(kept.begin(), kept.end(), position);
  });
  uint64_t n_evicted = 0;
  for (size_t next = 0; next < candidates.size() && usage.bytes > bytes;) {
    FreedPlaces freed;
    SABLE_TRY_VOID(index.in_transaction([&]() -> Result<void> {
      for (size_t n = 0; n < kDropsPerTransaction && next < candidates.size(); ++n) {
        SABLE_TRY_VOID(index.drop_position(candidates[next++], freed));
        ++n_evicted;
        // At most so many; what blocks at the edges keep shows when the usage is counted anew.
        uint64_t freed_bytes = 0;
        for (const EntryPlace& run : merged(freed)) {
          freed_bytes += block_end(run.end()) - block_begin(run.offset);
        }
        if (freed_bytes + bytes >= usage.bytes) break;
      }
      return {};
    }));
    give_back(index, folder, freed);
    SABLE_TRY(usage, index.usage());
  }
  return n_evicted;
}

Result<void> reconcile(SnapshotIndex& index, const SegmentFolder& folder) {
  for (const uint64_t segment : folder.list()) {
    SABLE_TRY(const auto places, index.places_in(segment));
    if (places.empty()) {
      folder.remove_if_unused(segment);
      continue;
    }
    struct stat info;
    if (::stat(folder.file(segment).c_str(), &info) != 0) continue;
    uint64_t end = 0;
    for (const EntryPlace& place : places) {
      if (place.offset > end) folder.free(segment, end, place.offset);
      end = std::max(end, place.end());
    }
    folder.free(segment, end, block_end(static_cast<uint64_t>(info.st_size)));
  }
  return {};
}

}  // namespace sable::memory
