// Segment files: append-only, entries side by side, each with a header that says what it is and a
// checksum. Space inside of them is given back by punching holes into whole disk blocks; nothing is
// ever written twice in one place, so whoever holds a stale address finds the entry, what is left
// of it, zeros or nothing, never another one.
#pragma once

#include <filesystem>
#include <optional>

#include "base/unique_fd.h"
#include "memory/page_buffer.h"
#include "memory/snapshots.h"

namespace sable::memory {

inline constexpr uint64_t kEntryAlignment = 64;  ///< a cache line: entries lie close together
inline constexpr uint64_t kDiskBlock = 4096;  ///< direct access moves and a hole frees whole ones

/// Up to where the disk block reaches in which `offset` lies, unless it begins there.
constexpr uint64_t block_end(uint64_t offset) {
  return (offset + kDiskBlock - 1) / kDiskBlock * kDiskBlock;
}
/// Where the disk block begins in which `offset` lies.
constexpr uint64_t block_begin(uint64_t offset) { return offset / kDiskBlock * kDiskBlock; }

/// Where an entry lies; `bytes` with header and padding, a multiple of the alignment. Entries of
/// one save may share a disk block, those of different saves never do.
struct EntryPlace {
  uint64_t segment = 0, offset = 0, bytes = 0;
  friend bool operator==(const EntryPlace&, const EntryPlace&) = default;
  uint64_t end() const { return offset + bytes; }
};

/// Whether an entry can lie there: a flipped bit in the index must not become a read of gigabytes.
constexpr bool is_possible(const EntryPlace& place) {
  constexpr uint64_t kOffsetMax = uint64_t{1} << 40, kBytesMax = uint64_t{1} << 32;
  return place.offset < kOffsetMax && place.bytes < kBytesMax &&
         place.offset % kEntryAlignment == 0 && place.bytes % kEntryAlignment == 0;
}

/// The payload of an entry that was read to `entry`, if it is whole and has this key.
std::optional<std::span<const std::byte>> checked_payload(std::span<const std::byte> entry,
                                                          const Digest& key);

/// The file is read and written through the page cache from now on: what remains where the file
/// system refuses direct access with our alignment.
void use_page_cache(int file);

/// The segments below one folder.
class SegmentFolder {
 public:
  explicit SegmentFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path file(uint64_t segment) const;
  std::vector<uint64_t> list() const;
  /// For reading, past the page cache where the file system can: a snapshot is read once, and what
  /// is better kept in memory would go for it. Errors: not_found.
  Result<UniqueFd> open(uint64_t segment) const;
  /// Gives the space of the whole disk blocks in [begin, end) back; where the file system cannot,
  /// it stays until the segment is removed.
  void free(uint64_t segment, uint64_t begin, uint64_t end) const;
  /// Deletes a segment unless somebody appends to it.
  void remove_if_unused(uint64_t segment) const;

 private:
  std::filesystem::path folder_;
};

/// The right to append to one segment, and a buffer before it, which goes to the disk past the page
/// cache where the file system can. What was appended since the last keep() is cut off on
/// destruction.
class SegmentWriter {
 public:
  /// Continues a segment that nobody appends to and is smaller than `bytes_max`, or begins one.
  static Result<SegmentWriter> claim(const SegmentFolder& folder, uint64_t bytes_max);
  SegmentWriter(SegmentWriter&& other) noexcept = default;
  SegmentWriter& operator=(SegmentWriter&& other) = delete;
  ~SegmentWriter();

  uint64_t segment() const { return segment_; }
  uint64_t end() const { return end_; }

  /// Errors: exhausted (disk full), io.
  Result<EntryPlace> append(const Digest& key, std::span<const std::byte> payload);
  Result<void> sync();  ///< makes everything appended durable; what follows begins a disk block
  void keep();          ///< from now on the index may name what was appended
  void cut();           ///< drops what was appended since the last keep()

 private:
  SegmentWriter() = default;
  Result<void> flush();

  uint64_t segment_ = 0;
  UniqueFd fd_;
  uint64_t kept_ = 0;  ///< bytes of the file that stay
  uint64_t end_ = 0;   ///< with what is in the buffer, which begins with a disk block
  PageBuffer buffer_;
  size_t n_buffered_ = 0;
};

}  // namespace sable::memory
