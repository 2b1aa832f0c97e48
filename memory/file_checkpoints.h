// File checkpoints: what a working directory held at one moment, kept as Git objects in a private
// store under the home. The user's repository, its index and its branches are only read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace sable::memory {

/// What is too much for a checkpoint.
struct CheckpointLimits {
  size_t n_files_max = 100'000;  ///< files and folders looked at; then no checkpoint
  uint64_t file_bytes_max = uint64_t{64} << 20;  ///< a larger file is left out
  uint64_t new_bytes_max = uint64_t{1} << 30;    ///< content that is new since the last one
};

struct LeftOut {
  std::string path;    ///< relative to the root; bytes, not always UTF-8
  std::string reason;  ///< "larger than 67108864 bytes", "Permission denied", ...
};

struct FileCheckpoint {
  std::string id;  ///< of a Git commit, 40 hexadecimal digits
  uint64_t n_files = 0;
  uint64_t n_stored = 0;  ///< files whose content was not known from the last checkpoint
  std::vector<LeftOut> left_out;
};

struct RestoreReport {
  uint64_t n_written = 0, n_removed = 0;
  /// Paths that could not be brought back, or hold what no checkpoint can bring back and were
  /// therefore not touched.
  std::vector<LeftOut> kept;
};

/// The checkpoints of one working directory. Symbolic links are kept as links and never followed;
/// other file systems mounted below, devices, sockets and everything named ".git" are passed over,
/// and so is what Git ignores and does not track. Of modes only "executable" is kept; empty
/// folders are not. Functions block; one thread at a time.
class FileCheckpoints {
 public:
  /// Creates HOME/checkpoints/HASH-OF-ROOT. Errors: io; not_found when the root is none.
  static Result<std::unique_ptr<FileCheckpoints>> open(const std::filesystem::path& home,
                                                       const std::filesystem::path& root,
                                                       CheckpointLimits limits = {},
                                                       Log log = Log::none());
  virtual ~FileCheckpoints() = default;

  /// Keeps the files as they are now, for as long as the session exists; durable when it returns.
  /// Looks at `stop` before each file. Errors: exhausted (more files or new bytes than the limits
  /// allow, or the disk is full); cancelled; io.
  virtual Result<FileCheckpoint> take(const std::string& session, std::stop_token stop = {}) = 0;

  /// Whether restore() would find all that it needs as the files are now. Changes nothing. Errors:
  /// those of restore().
  virtual Result<void> check(const std::string& id) = 0;

  /// Makes the files what they were. What it overwrites or removes was in a state that take() can
  /// keep; take one before. Repeating it after a crash finishes it. Errors: not_found when the
  /// checkpoint is not in this store; corrupt; exhausted; io.
  virtual Result<RestoreReport> restore(const std::string& id) = 0;
};

}  // namespace sable::memory
