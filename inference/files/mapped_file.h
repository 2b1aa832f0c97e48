// A file mapped read-only into memory; the kernel pages it in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace sable::inference {

/// Owns one read-only mapping of a whole regular file. Movable; unmaps on destruction. The file
/// must not be truncated while it is mapped (the kernel answers a read past its new end with
/// SIGBUS).
class MappedFile {
 public:
  MappedFile() = default;
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// When the file was last written to, as it was opened: nanoseconds since the epoch.
  int64_t modified() const { return modified_; }

  /// Bytes of the file that are in memory now (mincore(2): the page cache, shared with other
  /// processes).
  Result<uint64_t> resident_bytes() const;

  /// Unmaps the pages of `part` (a view into some mapping) from this process; the page cache keeps
  /// them as long as memory allows, and reading maps them again.
  static void release(std::span<const std::byte> part);

  /// Also gives the pages back to the system, as far as nobody else uses them; reading goes to
  /// disk.
  static void evict(std::span<const std::byte> part);

  /// Asks for `part` to be read ahead.
  static void prefetch(std::span<const std::byte> part);

  /// Reads `part` and maps it, as far as the system has memory; comes back when it is there.
  static void populate(std::span<const std::byte> part);

 private:
  MappedFile(const std::byte* data, size_t size, int64_t modified)
      : data_(data), size_(size), modified_(modified) {}
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ = 0;
};

}  // namespace sable::inference
