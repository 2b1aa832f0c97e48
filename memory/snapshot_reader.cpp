#include "memory/snapshot_reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace sable::memory {

namespace {

// As much as a disk needs to be at its full speed, and little enough to stay near the caches.
constexpr uint64_t kReadBytes = uint64_t{8} << 20;
constexpr size_t kReadsAhead = 2;

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
  /// Entries [first, end) lie side by side and are read at once.
  struct Piece {
    size_t first = 0, end = 0;
    uint64_t bytes = 0;
  };

  Piece piece_from(size_t first) const {
    Piece piece{first, first, 0};
    while (piece.end < entries_.size()) {
      const EntryPlace& place = entries_[piece.end].place;
      const EntryPlace& start = entries_[first].place;
      if (place.segment != start.segment || place.offset != start.offset + piece.bytes) break;
      if (piece.bytes > 0 && piece.bytes + place.bytes > kReadBytes) break;
      piece.bytes += place.bytes;
      ++piece.end;
    }
    return piece;
  }

  Result<std::span<const std::byte>> entry(size_t index) {
    if (index < loaded_.first || index >= loaded_.end) {
      SABLE_TRY_VOID(load(piece_from(index)));
    }
    const EntryPlace& place = entries_[index].place;
    const uint64_t at = place.offset - entries_[loaded_.first].place.offset;
    const auto payload = checked_payload(
        std::span<const std::byte>(buffer_).subspan(at, place.bytes), entries_[index].key);
    if (!payload) return fail(ErrorCode::not_found, "a stored snapshot is damaged or gone");
    return *payload;
  }

  Result<void> load(Piece piece) {
    loaded_ = {};
    // The kernel fetches the next pieces while this one is checked and used.
    Piece next = piece;
    for (size_t i = 0; i < kReadsAhead && next.end < entries_.size(); ++i) {
      next = piece_from(next.end);
      const EntryPlace& start = entries_[next.first].place;
      if (const auto file = descriptor(start.segment)) {
        (void)::posix_fadvise(*file, static_cast<off_t>(start.offset),
                              static_cast<off_t>(next.bytes), POSIX_FADV_WILLNEED);
      }
    }
    const EntryPlace& start = entries_[piece.first].place;
    SABLE_TRY(const int file, descriptor(start.segment));
    buffer_.resize(piece.bytes);
    for (uint64_t done = 0; done < piece.bytes;) {
      const ssize_t n = ::pread(file, buffer_.data() + done, piece.bytes - done,
                                static_cast<off_t>(start.offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EIO) return fail_errno("snapshot: read", errno);
      if (n <= 0) {
        // Behind the end, or a bad place of the disk: zeros, which no checksum accepts.
        std::fill(buffer_.begin() + static_cast<ptrdiff_t>(done), buffer_.end(), std::byte{0});
        break;
      }
      done += static_cast<uint64_t>(n);
    }
    loaded_ = piece;
    return {};
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
  Piece loaded_;
  std::vector<std::byte> buffer_;
};

}  // namespace

std::unique_ptr<SnapshotReader> read_snapshot(SegmentFolder folder, ReadPlan plan,
                                              DamageReport damage) {
  return std::make_unique<FileReader>(std::move(folder), std::move(plan), std::move(damage));
}

}  // namespace sable::memory
