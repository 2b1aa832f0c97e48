// A large file written once, front to back, that appears under its name only when it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::inference {

/// Writes to PATH.partial and renames in finish(); without finish() the partial file is removed.
class OutputFile {
 public:
  /// Refuses a path that exists; clears away a .partial left by an earlier run.
  static Result<OutputFile> create(const std::filesystem::path& path);
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&& other) noexcept;  // swaps
  ~OutputFile();

  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text);
  Result<void> pad_to(uint64_t alignment);  ///< zeros up to a multiple
  Result<void> finish();                    ///< sync and rename

  uint64_t size() const { return size_; }

 private:
  OutputFile(std::filesystem::path path, std::filesystem::path partial, UniqueFd fd);
  Result<void> flush();

  std::filesystem::path path_, partial_;
  UniqueFd fd_;
  std::vector<std::byte> buffer_;
  uint64_t size_ = 0;
};

/// exhausted when the disk under `path` has less than `bytes` free.
Result<void> check_disk_space(const std::filesystem::path& path, uint64_t bytes);

}  // namespace sable::inference
