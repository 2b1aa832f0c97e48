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
// So many reads are under way. There are two slots more: for the piece in use, and for one to go on
// with while whoever uses that has not come for the next.
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

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ReadAhead::add(std::vector<ReadEntry> entries) {
  entries_.push_back(std::move(entries));
  for (std::span<const ReadEntry> left = entries_.back(); !left.empty();) {
    pieces_.push_back(piece_from(left));
    left = left.subspan(pieces_.back().entries.size());
  }
}

const ReadEntry& ReadAhead::entry(size_t index) const {
  const Piece& piece = pieces_[piece_with(index)];
  return piece.entries[index - piece.first];
}

/// Leaves a slot for an entry that will be asked for even before, when it is known.
void ReadAhead::expect(size_t index) {
  const std::lock_guard lock(mutex_);
  if (pieces_.size() > 1 && hand_out(wanted_from(piece_with(index), kSlots - 1))) start_threads();
}

Result<std::span<const std::byte>> ReadAhead::payload(size_t index) {
  const size_t piece = piece_with(index);
  if (now_ == nullptr || now_->number != piece) now_ = &ready_slot(piece);
  if (!now_->outcome) return fail(now_->outcome.error());
  const ReadEntry& entry = now_->piece.entries[index - now_->piece.first];
  const std::byte* const at = now_->buffer.data() + (entry.place.offset - now_->piece.offset);
  const auto payload = checked_payload({at, entry.place.bytes}, entry.key);
  if (!payload) return fail(ErrorCode::not_found, "a stored snapshot is damaged or gone");
  return *payload;
}

/// As many of these entries as can be read at once.
ReadAhead::Piece ReadAhead::piece_from(std::span<const ReadEntry> entries) const {
  const EntryPlace& start = entries.front().place;
  Piece piece{.first = size(), .offset = block_begin(start.offset)};
  uint64_t end = start.end();
  size_t n = 1;
  for (; n < entries.size(); ++n) {
    const EntryPlace& place = entries[n].place;
    if (place.segment != start.segment || place.offset < end || place.offset > end + kGapBytes ||
        block_end(place.end()) - piece.offset > kReadBytes) {
      break;
    }
    end = place.end();
  }
  piece.entries = entries.first(n);
  piece.bytes = block_end(end) - piece.offset;
  return piece;
}

size_t ReadAhead::piece_with(size_t entry) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), entry,
                                      [](size_t i, const Piece& piece) { return i < piece.end(); });
  return static_cast<size_t>(after - pieces_.begin());
}

ReadAhead::Slot& ReadAhead::ready_slot(size_t piece) {
  std::unique_lock lock(mutex_);
  const auto wanted = wanted_from(piece, kSlots);
  begun_ = true;
  // After a jump all slots may be under way with what is not wanted any more.
  bool news = false;
  changed_.wait(lock, [&] {
    news |= hand_out(wanted);
    return slot_of(piece) != nullptr;
  });
  if (news && wanted.size() > 1) start_threads();
  Slot& slot = *slot_of(piece);
  if (slot.state == State::wanted) fill(slot, lock);
  changed_.wait(lock, [&] { return slot.state == State::ready; });
  return slot;
}

/// This piece and those behind it. Who begins with the last entry will go on with the first.
std::vector<size_t> ReadAhead::wanted_from(size_t piece, size_t n_max) const {
  std::vector<size_t> wanted;
  const size_t end = std::min(pieces_.size(), piece + n_max);
  for (size_t next = piece; next < end; ++next) wanted.push_back(next);
  for (size_t next = 0; !begun_ && next < piece && wanted.size() < n_max; ++next) {
    wanted.push_back(next);
  }
  return wanted;
}

/// Gives slots to these pieces, as far as there are, and takes them from all others once an entry
/// was asked for. True when one got a slot that had none.
bool ReadAhead::hand_out(const std::vector<size_t>& wanted) {
  bool news = false;
  for (Slot& slot : slots_) {
    const bool passed = std::find(wanted.begin(), wanted.end(), slot.number) == wanted.end();
    if (begun_ && passed && slot.state != State::reading) slot.state = State::free;
  }
  for (const size_t next : wanted) {
    if (slot_of(next) != nullptr) continue;
    const auto free = std::find_if(slots_.begin(), slots_.end(),
                                   [](const Slot& slot) { return slot.state == State::free; });
    if (free == slots_.end()) break;
    free->state = State::wanted;
    free->number = next;
    free->piece = pieces_[next];
    news = true;
  }
  return news;
}

ReadAhead::Slot* ReadAhead::slot_of(size_t piece) {
  const auto slot = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& candidate) {
    return candidate.state != State::free && candidate.number == piece;
  });
  return slot == slots_.end() ? nullptr : &*slot;
}

/// What will be used first is read first.
ReadAhead::Slot* ReadAhead::first_wanted() {
  Slot* first = nullptr;
  for (Slot& slot : slots_) {
    if (slot.state == State::wanted && (!first || slot.number < first->number)) first = &slot;
  }
  return first;
}

void ReadAhead::start_threads() {
  const size_t n = std::min(kThreads, pieces_.size() - 1);
  try {
    while (threads_.size() < n) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // The machine has no more threads: whoever asks reads by itself.
  } catch (const std::bad_alloc&) {
  }
  changed_.notify_all();
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

/// Reads the piece of a slot with the lock released meanwhile.
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
  const Piece& piece = slot.piece;
  SABLE_TRY(const int file, descriptor(piece.entries.front().place.segment));
  slot.buffer.reserve(piece.bytes);
  return read_at(file, piece.offset, {slot.buffer.data(), piece.bytes});
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
