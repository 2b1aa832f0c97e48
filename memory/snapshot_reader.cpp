#include "memory/snapshot_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <future>
#include <new>
#include <unistd.h>

namespace sable::memory {

namespace {

// As much as a disk needs to be at its full speed, and little enough to stay near the caches.
constexpr uint64_t kReadBytes = uint64_t{8} << 20;
// Other streams' blocks in between are read along where that is cheaper than a read of its own.
constexpr uint64_t kGapBytes = uint64_t{1} << 20;

/// Keeps its size and is not cleared first; content is undefined.
class PageBuffer {
 public:
  void reserve(uint64_t bytes) {
    if (bytes <= capacity_) return;
    memory_.reset();  // before the larger one is asked for
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kEntryAlignment, bytes)));
    capacity_ = memory_ ? bytes : 0;
    if (!memory_) throw std::bad_alloc();
  }
  std::byte* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  uint64_t capacity_ = 0;
};

/// Reads bytes of a segment. What cannot be read (behind the end, a bad place of the disk) becomes
/// zeros, which no checksum accepts.
Result<void> read_at(int file, uint64_t offset, std::span<std::byte> into) {
  for (size_t done = 0; done < into.size();) {
    const ssize_t n =
        ::pread(file, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EIO) return fail_errno("snapshot: read", errno);
    if (n <= 0) {
      std::fill(into.begin() + static_cast<ptrdiff_t>(done), into.end(), std::byte{0});
      return {};
    }
    done += static_cast<size_t>(n);
  }
  return {};
}

class FileReader : public SnapshotReader {
 public:
  FileReader(SegmentFolder folder, ReadPlan plan, DamageReport damage)
      : folder_(std::move(folder)), plan_(std::move(plan)), damage_(std::move(damage)) {
    entries_ = std::move(plan_.blocks);
    n_blocks_ = entries_.size();
    entries_.push_back(plan_.position);
  }

  uint64_t n_tokens() const override { return plan_.n_tokens; }
  uint64_t n_blocks() const override { return n_blocks_; }

  Result<std::span<const std::byte>> block(uint64_t index) override {
    if (index >= n_blocks_) return fail(ErrorCode::invalid_input, "no such block in the snapshot");
    auto payload = entry(index);
    if (!payload && payload.error().code == ErrorCode::not_found) damage_.block(entries_[index]);
    return payload;
  }

  Result<std::span<const std::byte>> position() override {
    auto payload = entry(n_blocks_);
    if (!payload && payload.error().code == ErrorCode::not_found) {
      damage_.position(entries_[n_blocks_]);
    }
    return payload;
  }

 private:
  /// Entries [first, end) are read at once.
  struct Piece {
    size_t first = 0, end = 0;
    uint64_t bytes = 0;
    bool has(size_t index) const { return index >= first && index < end; }
  };
  struct Loaded {
    Piece piece;
    PageBuffer buffer;
    Result<void> outcome;
  };

  Piece piece_from(size_t first) const {
    const EntryPlace& start = entries_[first].place;
    Piece piece{first, first + 1, start.bytes};
    while (piece.end < entries_.size()) {
      const EntryPlace& place = entries_[piece.end].place;
      const uint64_t at = place.offset - start.offset;  // huge when it lies before
      if (place.segment != start.segment || at < piece.bytes || at > piece.bytes + kGapBytes ||
          at + place.bytes > kReadBytes) {
        break;
      }
      piece.bytes = at + place.bytes;
      ++piece.end;
    }
    return piece;
  }

  Result<std::span<const std::byte>> entry(size_t index) {
    if (!now_ || !now_->piece.has(index)) {
      SABLE_TRY_VOID(load(index));
    }
    const EntryPlace& place = entries_[index].place;
    const uint64_t at = place.offset - entries_[now_->piece.first].place.offset;
    const auto payload =
        checked_payload({now_->buffer.data() + at, place.bytes}, entries_[index].key);
    if (!payload) return fail(ErrorCode::not_found, "a stored snapshot is damaged or gone");
    return *payload;
  }

  /// Takes the piece with this entry, which has been read ahead when entries are asked for in
  /// order, and has the next one read while this one is used. One read at a time: so the kernel
  /// sees that the file is read in sequence, and reads ahead itself.
  Result<void> load(size_t index) {
    auto spare = std::exchange(now_, nullptr);
    if (ahead_.valid()) {
      now_ = ahead_.get();
      if (!now_->piece.has(index)) spare = std::exchange(now_, nullptr);
    }
    if (!now_) {
      SABLE_TRY(const int file, descriptor(entries_[index].place.segment));
      now_ = read(file, piece_from(index), std::move(spare));
    }
    if (!now_->outcome) return fail(std::exchange(now_, nullptr)->outcome.error());
    if (const size_t next = now_->piece.end; next < entries_.size()) {
      const auto file = descriptor(entries_[next].place.segment);
      if (!file) return {};  // told when it is asked for
      ahead_ = std::async(std::launch::async, [this, file = *file, piece = piece_from(next),
                                               into = std::move(spare)]() mutable {
        return read(file, piece, std::move(into));
      });
    }
    return {};
  }

  std::unique_ptr<Loaded> read(int file, const Piece& piece, std::unique_ptr<Loaded> into) const {
    if (!into) into = std::make_unique<Loaded>();
    into->piece = piece;
    try {
      into->buffer.reserve(piece.bytes);
      into->outcome =
          read_at(file, entries_[piece.first].place.offset, {into->buffer.data(), piece.bytes});
    } catch (const std::bad_alloc&) {
      into->outcome = fail(ErrorCode::exhausted, "out of memory while a snapshot is read");
    }
    return into;
  }

  Result<int> descriptor(uint64_t segment) {
    auto known = files_.find(segment);
    if (known == files_.end()) {
      SABLE_TRY(auto fd, folder_.open(segment));
      (void)::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
      known = files_.emplace(segment, std::move(fd)).first;
    }
    return known->second.get();
  }

  const SegmentFolder folder_;
  ReadPlan plan_;
  const DamageReport damage_;
  std::vector<ReadEntry> entries_;  ///< the blocks, then the position
  size_t n_blocks_ = 0;
  std::map<uint64_t, UniqueFd> files_;
  std::unique_ptr<Loaded> now_;
  std::future<std::unique_ptr<Loaded>> ahead_;  ///< its destructor waits
};

}  // namespace

std::unique_ptr<SnapshotReader> read_snapshot(SegmentFolder folder, ReadPlan plan,
                                              DamageReport damage) {
  return std::make_unique<FileReader>(std::move(folder), std::move(plan), std::move(damage));
}

}  // namespace sable::memory
