// Cache snapshots on disk: the state of a token stream as opaque bytes, kept so that resuming it
// costs a read and not a prefill. Blocks of a common prefix are stored once. Everything here is a
// cache: what is missing, damaged or from another model is `not_found`, never a wrong answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/log.h"
#include "base/result.h"

namespace sable::memory {

/// Tokens in one block. A stream of n tokens has n / 128 blocks, which never change, and one
/// position record with the rest.
inline constexpr uint64_t kSnapshotBlockTokens = 128;

/// What a state belongs to: who computes it (weights, tokenizer, arithmetic) and the exact tokens.
struct TokenStream {
  Digest fingerprint{};
  std::span<const int32_t> tokens;
};

/// Where the bytes of a state that is being saved come from. Called within save(), blocks in order,
/// only those that are not stored yet; each call fills an empty `bytes`.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  virtual Result<void> block(uint64_t index, std::vector<std::byte>& bytes) = 0;
  virtual Result<void> position(std::vector<std::byte>& bytes) = 0;
};

/// A stored state that is being read. Reads ahead in large pieces where blocks are asked for in
/// order. Used by one thread at a time.
class SnapshotReader {
 public:
  virtual ~SnapshotReader() = default;
  virtual uint64_t n_tokens() const = 0;  ///< the prefix of the stream that this is the state of
  virtual uint64_t n_blocks() const = 0;

  /// The bytes as they were saved, checked; valid until the next call. Errors: not_found when they
  /// are damaged or gone (evicted by another process): the entry is dropped, find() again.
  virtual Result<std::span<const std::byte>> block(uint64_t index) = 0;
  virtual Result<std::span<const std::byte>> position() = 0;
};

inline constexpr uint64_t kSnapshotBytesMax = uint64_t{64} << 30;

struct SnapshotOptions {
  /// Of all snapshots of the home together. Unset: a quarter of the disk's free space beside them,
  /// and kSnapshotBytesMax at most.
  std::optional<uint64_t> bytes_max;
  uint64_t free_bytes_min = uint64_t{2} << 30;  ///< left on the disk for what is not a cache
  uint64_t segment_bytes_max = uint64_t{1} << 30;
  Log log = Log::none();
};

struct SaveReport {
  uint64_t n_blocks_written = 0;  ///< the others were there
  uint64_t bytes_written = 0;
  uint64_t n_snapshots_evicted = 0;
};

struct SnapshotUsage {
  uint64_t n_snapshots = 0, n_blocks = 0;
  uint64_t bytes = 0;
};

/// The snapshots of one home; several processes may open them. All functions block and may be
/// called from any thread but the loop's.
class SnapshotStore {
 public:
  /// Creates HOME/cache. An index that is damaged or of another version is thrown away with what it
  /// describes. Errors: io; denied while another process does that.
  static Result<std::unique_ptr<SnapshotStore>> open(const std::filesystem::path& home,
                                                     SnapshotOptions options = {});
  virtual ~SnapshotStore() = default;

  /// Keeps the state behind all tokens of the stream. The newest snapshot of a session that has a
  /// live owner is never evicted; the others go by last use. Errors: exhausted (no room beside the
  /// snapshots of live sessions, or on the disk); io; what the source says. After an error nothing
  /// is stored and everything older is as it was.
  virtual Result<SaveReport> save(const std::string& session, TokenStream stream,
                                  SnapshotSource& source) = 0;

  /// The longest stored prefix of the stream, which from now on is the newest snapshot of `session`
  /// (empty: of none), until that saves one. not_found when there is none.
  virtual Result<std::unique_ptr<SnapshotReader>> find(TokenStream stream,
                                                       const std::string& session = {}) = 0;

  /// The newest snapshot of one session is now another one's too (a fork).
  virtual Result<void> share(const std::string& from, const std::string& to) = 0;

  /// Deletes the snapshots that only this session used, from the disk too.
  virtual Result<void> forget(const std::string& session) = 0;

  /// Those that have used a snapshot which is still stored.
  virtual Result<std::vector<std::string>> sessions() = 0;

  virtual Result<SnapshotUsage> usage() = 0;
};

}  // namespace sable::memory
