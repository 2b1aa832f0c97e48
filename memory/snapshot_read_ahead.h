// Reading a list of entries in order at the speed of the disk: large pieces, several under way at
// once, read past the page cache into a few buffers. Whoever uses an entry checks it there: threads
// that did more than read would leave the disk idle.
#pragma once

#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "memory/page_buffer.h"
#include "memory/snapshot_segment.h"

namespace sable::memory {

/// One entry of a state that is read, and the row of the index that names it.
struct ReadEntry {
  Digest key;
  EntryPlace place;
  int64_t row = 0;
};

/// Used by one thread; has a few of its own while there is more than one piece to read.
class ReadAhead {
 public:
  explicit ReadAhead(SegmentFolder folder) : folder_(std::move(folder)) {}
  ~ReadAhead();

  /// Entries behind those that are known; none of them is read together with those.
  void add(std::vector<ReadEntry> entries);
  size_t size() const { return pieces_.empty() ? 0 : pieces_.back().end(); }
  const ReadEntry& entry(size_t index) const;

  /// Before the first payload(): this entry will be asked for, and from here on it, and what
  /// follows, is read ahead.
  void expect(size_t index);

  /// The checked payload of an entry, valid until the next call. From here on what follows it is
  /// read ahead. Errors: not_found when it is not what the index says; io; exhausted.
  Result<std::span<const std::byte>> payload(size_t index);

 private:
  /// Entries that are read at once, with the disk blocks in which they lie.
  struct Piece {
    size_t first = 0;  ///< number of the first entry
    std::span<const ReadEntry> entries;
    uint64_t offset = 0, bytes = 0;
    size_t end() const { return first + entries.size(); }
  };

  enum class State { free, wanted, reading, ready };
  struct Slot {
    State state = State::free;
    size_t number = 0;  ///< of the piece
    Piece piece;
    PageBuffer buffer;
    Result<void> outcome;
  };

  Piece piece_from(std::span<const ReadEntry> entries) const;
  size_t piece_with(size_t entry) const;
  Slot& ready_slot(size_t piece);
  std::vector<size_t> wanted_from(size_t piece, size_t n_max) const;
  bool hand_out(const std::vector<size_t>& wanted);
  Slot* slot_of(size_t piece);
  Slot* first_wanted();
  void start_threads();
  void work();
  void fill(Slot& slot, std::unique_lock<std::mutex>& lock);
  Result<void> read(Slot& slot);
  Result<int> descriptor(uint64_t segment);

  static constexpr size_t kSlots = 5;

  const SegmentFolder folder_;
  std::vector<std::vector<ReadEntry>> entries_;  ///< as they were added; the pieces point there
  std::vector<Piece> pieces_;
  const Slot* now_ = nullptr;  ///< in use: nobody else touches it
  bool begun_ = false;         ///< an entry was asked for

  std::mutex mutex_;  ///< of all below; a slot that is being read belongs to who reads it
  std::condition_variable changed_;
  std::array<Slot, kSlots> slots_;
  std::map<uint64_t, UniqueFd> files_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sable::memory
