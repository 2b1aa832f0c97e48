#include "memory/snapshot_read_ahead.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sable::memory {

namespace {

// As much as a disk needs to be at its full speed, and little enough to stay near the caches: fresh
// memory costs more than the read does.
constexpr uint64_t kReadBytes = uint64_t{2} << 20;
// Other streams' blocks in between are read along where that is cheaper than a read of its own.
constexpr uint64_t kGapBytes = uint64_t{1} << 20;
// One reads, one checks, one waits for its turn. There is one slot more, for the piece in use.
constexpr size_t kThreads = 3;

/// Reads bytes of a segment. What cannot be read (behind the end, a bad place of the disk) becomes
/// zeros, which no checksum accepts.
Result<void> read_at(int file, uint64_t offset, std::span<std::byte> into) {
  bool direct = true;
  for (size_t done = 0; done < into.size();) {
    const ssize_t n =
        ::pread(file, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EINVAL && std::exchange(direct, false)) {
      use_page_cache(file);
      continue;
    }
    if (n < 0 && errno != EIO) return fail_errno("snapshot: read", errno);
    if (n <= 0) {
      std::fill(into.begin() + static_cast<ptrdiff_t>(done), into.end(), std::byte{0});
      return {};
    }
    done += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace

ReadAhead::ReadAhead(SegmentFolder folder, std::vector<ReadEntry> entries)
    : folder_(std::move(folder)), entries_(std::move(entries)) {
  for (size_t next = 0; next < entries_.size(); next = pieces_.back().end) {
    pieces_.push_back(piece_from(next));
  }
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

Result<std::span<const std::byte>> ReadAhead::payload(size_t index) {
  const size_t piece = piece_with(index);
  if (now_ == nullptr || now_->piece != piece) now_ = &ready_slot(piece);
  if (!now_->outcome) return fail(now_->outcome.error());
  const auto& payload = now_->payloads[index - pieces_[piece].first];
  if (!payload) return fail(ErrorCode::not_found, "a stored snapshot is damaged or gone");
  return *payload;
}

ReadAhead::Piece ReadAhead::piece_from(size_t first) const {
  const EntryPlace& start = entries_[first].place;
  Piece piece{first, first + 1, block_begin(start.offset)};
  uint64_t end = start.end();
  while (piece.end < entries_.size()) {
    const EntryPlace& place = entries_[piece.end].place;
    if (place.segment != start.segment || place.offset < end || place.offset > end + kGapBytes ||
        block_end(place.end()) - piece.offset > kReadBytes) {
      break;
    }
    end = place.end();
    ++piece.end;
  }
  piece.bytes = block_end(end) - piece.offset;
  return piece;
}

size_t ReadAhead::piece_with(size_t entry) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), entry,
                                      [](size_t i, const Piece& piece) { return i < piece.end; });
  return static_cast<size_t>(after - pieces_.begin());
}

ReadAhead::Slot& ReadAhead::ready_slot(size_t piece) {
  std::unique_lock lock(mutex_);
  move_to(piece, lock);
  Slot& slot = *slot_of(piece);
  if (slot.state == State::wanted) fill(slot, lock);
  changed_.wait(lock, [&] { return slot.state == State::ready; });
  return slot;
}

/// Gives slots to this piece and those behind it, and takes them from all others. Who begins with
/// the last entry will go on with the first.
void ReadAhead::move_to(size_t piece, std::unique_lock<std::mutex>& lock) {
  std::vector<size_t> wanted;
  const size_t end = std::min(pieces_.size(), piece + kSlots);
  for (size_t next = piece; next < end; ++next) wanted.push_back(next);
  if (!std::exchange(begun_, true)) {
    for (size_t next = 0; next < piece && wanted.size() < kSlots; ++next) wanted.push_back(next);
  }
  bool news = false;
  const auto hand_out = [&] {
    for (Slot& slot : slots_) {
      const bool passed = std::find(wanted.begin(), wanted.end(), slot.piece) == wanted.end();
      if (passed && slot.state != State::reading) slot.state = State::free;
    }
    for (const size_t next : wanted) {
      if (slot_of(next) != nullptr) continue;
      const auto free = std::find_if(slots_.begin(), slots_.end(),
                                     [](const Slot& slot) { return slot.state == State::free; });
      if (free == slots_.end()) break;
      free->state = State::wanted;
      free->piece = next;
      news = true;
    }
    return slot_of(piece) != nullptr;
  };
  // After a jump all slots may be under way with what is not wanted any more.
  changed_.wait(lock, hand_out);
  if (!news || wanted.size() < 2) return;
  start_threads(pieces_.size() - 1);
  changed_.notify_all();
}

ReadAhead::Slot* ReadAhead::slot_of(size_t piece) {
  const auto slot = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& candidate) {
    return candidate.state != State::free && candidate.piece == piece;
  });
  return slot == slots_.end() ? nullptr : &*slot;
}

/// What will be used first is read first.
ReadAhead::Slot* ReadAhead::first_wanted() {
  Slot* first = nullptr;
  for (Slot& slot : slots_) {
    if (slot.state == State::wanted && (!first || slot.piece < first->piece)) first = &slot;
  }
  return first;
}

void ReadAhead::start_threads(size_t n_pieces_left) {
  const size_t n = std::min(kThreads, n_pieces_left);
  try {
    while (threads_.size() < n) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // The machine has no more threads: whoever asks reads by itself.
  } catch (const std::bad_alloc&) {
  }
}

void ReadAhead::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    Slot* slot = nullptr;
    changed_.wait(lock, [&] { return stopping_ || (slot = first_wanted()) != nullptr; });
    if (stopping_) return;
    fill(*slot, lock);
  }
}

/// Reads and checks the piece of a slot with the lock released meanwhile.
void ReadAhead::fill(Slot& slot, std::unique_lock<std::mutex>& lock) {
  slot.state = State::reading;
  lock.unlock();
  try {
    slot.outcome = read(slot);
  } catch (const std::bad_alloc&) {
    slot.outcome = fail(ErrorCode::exhausted, "out of memory while a snapshot is read");
  }
  lock.lock();
  slot.state = State::ready;
  changed_.notify_all();
}

Result<void> ReadAhead::read(Slot& slot) {
  const Piece& piece = pieces_[slot.piece];
  slot.payloads.assign(piece.end - piece.first, std::nullopt);
  SABLE_TRY(const int file, descriptor(entries_[piece.first].place.segment));
  slot.buffer.reserve(piece.bytes);
  SABLE_TRY_VOID(read_at(file, piece.offset, {slot.buffer.data(), piece.bytes}));
  for (size_t i = piece.first; i < piece.end; ++i) {
    const EntryPlace& place = entries_[i].place;
    slot.payloads[i - piece.first] = checked_payload(
        {slot.buffer.data() + (place.offset - piece.offset), place.bytes}, entries_[i].key);
  }
  return {};
}

Result<int> ReadAhead::descriptor(uint64_t segment) {
  const std::lock_guard lock(mutex_);
  auto known = files_.find(segment);
  if (known == files_.end()) {
    SABLE_TRY(auto fd, folder_.open(segment));
    known = files_.emplace(segment, std::move(fd)).first;
  }
  return known->second.get();
}

}  // namespace sable::memory
