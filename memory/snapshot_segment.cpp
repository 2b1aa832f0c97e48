#include "memory/snapshot_segment.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <linux/falloc.h>
#include <span>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/checksum.h"
#include "memory/file_lock.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

constexpr size_t kBufferBytes = size_t{8} << 20;
constexpr char kMagic[8] = {'S', 'B', 'L', 'S', 'N', 'A', 'P', '1'};

/// In front of every payload. Integers little-endian (checked in snapshot_key.cpp).
struct EntryHeader {
  char magic[8];
  uint8_t key[32];
  uint64_t payload_bytes;
  Checksum payload_checksum;
  uint64_t header_hash;  ///< XXH3, 64 bits, of everything before it
};
static_assert(sizeof(EntryHeader) == 72 && std::is_trivially_copyable_v<EntryHeader>);

uint64_t hash_of(const EntryHeader& header) {
  return short_checksum_of(
      std::as_bytes(std::span(&header, 1)).first(offsetof(EntryHeader, header_hash)));
}

constexpr uint64_t aligned(uint64_t bytes) {
  return (bytes + kEntryAlignment - 1) / kEntryAlignment * kEntryAlignment;
}

Error write_error(int number) {
  if (number == ENOSPC || number == EDQUOT) {
    return {ErrorCode::exhausted, "the disk is too full for a snapshot"};
  }
  return fail_errno("snapshot: write", number).value();
}

}  // namespace

std::optional<std::span<const std::byte>> checked_payload(std::span<const std::byte> entry,
                                                          const Digest& key) {
  EntryHeader header;
  if (entry.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, entry.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 ||
      header.header_hash != hash_of(header) ||
      std::memcmp(header.key, key.data(), key.size()) != 0 ||
      header.payload_bytes > entry.size() - sizeof header) {
    return std::nullopt;
  }
  const auto payload = entry.subspan(sizeof header, header.payload_bytes);
  if (checksum_of(payload) != header.payload_checksum) return std::nullopt;
  return payload;
}

void use_page_cache(int file) {
  if (const int flags = ::fcntl(file, F_GETFL); flags >= 0) {
    (void)::fcntl(file, F_SETFL, flags & ~O_DIRECT);
  }
}

fs::path SegmentFolder::file(uint64_t segment) const {
  return folder_ / fmt::format("{:08}.segment", segment);
}

std::vector<uint64_t> SegmentFolder::list() const {
  std::vector<uint64_t> segments;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".segment") continue;
    const auto name = it->path().stem().string();
    uint64_t number = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
    if (read.ec == std::errc() && read.ptr == name.data() + name.size()) segments.push_back(number);
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

Result<UniqueFd> SegmentFolder::open(uint64_t segment) const {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
  UniqueFd fd(::open(file(segment).c_str(), kFlags | O_DIRECT));
  if (!fd && errno == EINVAL) fd = UniqueFd(::open(file(segment).c_str(), kFlags));
  if (fd) return fd;
  if (errno == ENOENT) return fail(ErrorCode::not_found, "the snapshot's segment is gone");
  return fail_errno(file(segment).string(), errno);
}

void SegmentFolder::free(uint64_t segment, uint64_t begin, uint64_t end) const {
  begin = block_end(begin);
  end = block_begin(end);
  if (begin >= end) return;
  UniqueFd fd(::open(file(segment).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return;
  (void)::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                    static_cast<off_t>(end - begin));
}

void SegmentFolder::remove_if_unused(uint64_t segment) const {
  const fs::path path = file(segment);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (fd && try_lock(fd.get(), LockKind::alone) && leads_to(path, fd.get())) ::unlink(path.c_str());
}

Result<SegmentWriter> SegmentWriter::claim(const SegmentFolder& folder, uint64_t bytes_max) {
  SegmentWriter writer;
  uint64_t next = 1;
  for (const uint64_t segment : folder.list()) {
    next = std::max(next, segment + 1);
    const fs::path path = folder.file(segment);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    struct stat info;
    if (!fd || !try_lock(fd.get(), LockKind::alone) || !leads_to(path, fd.get()) ||
        ::fstat(fd.get(), &info) != 0 || static_cast<uint64_t>(info.st_size) >= bytes_max) {
      continue;
    }
    writer.segment_ = segment;
    writer.fd_ = std::move(fd);
    // Behind whatever a process that died has left: an address is never used twice.
    writer.kept_ = writer.end_ = block_end(static_cast<uint64_t>(info.st_size));
    (void)::fcntl(writer.fd_.get(), F_SETFL, O_DIRECT);
    return writer;
  }
  while (true) {
    const fs::path path = folder.file(next);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd && errno != EEXIST) return fail(write_error(errno));
    if (fd && try_lock(fd.get(), LockKind::alone) && leads_to(path, fd.get())) {
      writer.segment_ = next;
      writer.fd_ = std::move(fd);
      (void)::fcntl(writer.fd_.get(), F_SETFL, O_DIRECT);
      return writer;
    }
    ++next;
  }
}

SegmentWriter::~SegmentWriter() {
  if (fd_) cut();
}

Result<EntryPlace> SegmentWriter::append(const Digest& key, std::span<const std::byte> payload) {
  EntryHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::memcpy(header.key, key.data(), key.size());
  header.payload_bytes = payload.size();
  header.payload_checksum = checksum_of(payload);
  header.header_hash = hash_of(header);

  const uint64_t bytes = aligned(sizeof header + payload.size());
  if (n_buffered_ + bytes > kBufferBytes) {
    SABLE_TRY_VOID(flush());
  }
  if (n_buffered_ == 0) buffer_.reserve(std::max<size_t>(kBufferBytes, block_end(bytes)));
  const EntryPlace place{segment_, end_, bytes};
  std::byte* const at = buffer_.data() + n_buffered_;
  const size_t n_used = sizeof header + payload.size();
  std::memcpy(at, &header, sizeof header);
  if (!payload.empty()) std::memcpy(at + sizeof header, payload.data(), payload.size());
  std::memset(at + n_used, 0, bytes - n_used);
  n_buffered_ += bytes;
  end_ += bytes;
  return place;
}

/// Up to the end of the last disk block, since no other can be written past the page cache.
Result<void> SegmentWriter::flush() {
  const size_t n_left = block_end(n_buffered_) - n_buffered_;
  if (n_left > 0) std::memset(buffer_.data() + n_buffered_, 0, n_left);
  n_buffered_ += n_left;
  end_ += n_left;
  bool direct = true;
  uint64_t offset = end_ - n_buffered_;
  for (std::span<const std::byte> left(buffer_.data(), n_buffered_); !left.empty();) {
    const ssize_t n = ::pwrite(fd_.get(), left.data(), left.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EINVAL && std::exchange(direct, false)) {
      use_page_cache(fd_.get());
      continue;
    }
    if (n <= 0) return fail(write_error(n < 0 ? errno : EIO));
    left = left.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  n_buffered_ = 0;
  return {};
}

Result<void> SegmentWriter::sync() {
  SABLE_TRY_VOID(flush());
  if (::fdatasync(fd_.get()) != 0) return fail(write_error(errno));
  return {};
}

void SegmentWriter::keep() { kept_ = end_; }

void SegmentWriter::cut() {
  n_buffered_ = 0;
  if (end_ != kept_) (void)::ftruncate(fd_.get(), static_cast<off_t>(kept_));
  end_ = kept_;
}

}  // namespace sable::memory
