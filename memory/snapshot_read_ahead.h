// Reading a list of entries in order at the speed of the disk: large pieces, several under way at
// once, read past the page cache into a few buffers and checked where they were read.
#pragma once

#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "memory/page_buffer.h"
#include "memory/snapshot_reader.h"

namespace sable::memory {

/// Used by one thread; has a few of its own while there is more than one piece to read.
class ReadAhead {
 public:
  ReadAhead(SegmentFolder folder, std::vector<ReadEntry> entries);
  ~ReadAhead();

  size_t size() const { return entries_.size(); }
  const ReadEntry& entry(size_t index) const { return entries_[index]; }

  /// The checked payload of an entry, valid until the next call. From here on what follows it is
  /// read ahead. Errors: not_found when it is not what the index says; io; exhausted.
  Result<std::span<const std::byte>> payload(size_t index);

 private:
  /// Entries [first, end) are read at once, with the disk blocks in which they lie.
  struct Piece {
    size_t first = 0, end = 0;
    uint64_t offset = 0, bytes = 0;
  };

  enum class State { free, wanted, reading, ready };
  struct Slot {
    State state = State::free;
    size_t piece = 0;
    PageBuffer buffer;
    Result<void> outcome;
    std::vector<std::optional<std::span<const std::byte>>> payloads;
  };

  Piece piece_from(size_t first) const;
  size_t piece_with(size_t entry) const;
  Slot& ready_slot(size_t piece);
  void move_to(size_t piece, std::unique_lock<std::mutex>& lock);
  Slot* slot_of(size_t piece);
  Slot* first_wanted();
  void start_threads(size_t n_pieces_left);
  void work();
  void fill(Slot& slot, std::unique_lock<std::mutex>& lock);
  Result<void> read(Slot& slot);
  Result<int> descriptor(uint64_t segment);

  static constexpr size_t kSlots = 4;

  const SegmentFolder folder_;
  const std::vector<ReadEntry> entries_;
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
