// An event as it is stored: its JSON text and its place in the session's hash chain.
#pragma once

#include <span>

#include "base/digest.h"
#include "memory/memory.h"

namespace sable::memory {

/// Largest `data` of one event, as JSON text. Larger payloads belong in a blob.
inline constexpr size_t kEventBytesMax = size_t{16} << 20;

/// The chain starts from zeros, so that a fork's copied prefix has its parent's hashes.
inline constexpr Digest kChainStart{};

/// SHA-256 over: previous hash, seq (8 bytes), length of type (8 bytes), type, version (8 bytes),
/// time (8 bytes), data; integers little-endian.
Digest chain_hash(const Digest& previous, Seq seq, std::string_view type, int version,
                  WallTime time, std::string_view data);

/// Reads lower-case hexadecimal of exactly one digest.
std::optional<Digest> digest_from_hex(std::string_view hex);

/// Ties a session's id to its number, so that damage to either is noticed.
Digest session_seal(int64_t number, std::string_view id);

/// Checks a new event and renders its data. What JSON cannot hold (invalid UTF-8, NaN) is replaced
/// in `event.data` too, so that what is shown equals what is stored. Errors (invalid_input): a type
/// that is not dotted words, data nested too deep or too large.
Result<std::string> render_data(NewEvent& event);

/// A row of the event table as it lies there; the views are valid during the visit.
struct StoredEvent {
  Seq seq;
  int64_t time_ms;
  std::string_view type;
  int64_t version;
  std::string_view data;
  std::span<const uint8_t> hash;
};

/// The event in a row, after checking that it continues the chain: `expected` follows the event
/// whose hash is `previous`. On success `previous` becomes the row's hash. Errors: corrupt.
Result<Event> checked_event(const std::string& session, const StoredEvent& row, Seq expected,
                            Digest& previous);

/// "session X: event N HOW; run `sable doctor --repair`".
tl::unexpected<Error> fail_damaged(const std::string& session, Seq seq, std::string_view how);

/// The distinct digests (hexadecimal) of blob locators anywhere in an event's JSON text.
std::vector<std::string> blob_digests_in(std::string_view data);

inline constexpr std::string_view kBlobPrefix = "blob:sha256:";

}  // namespace sable::memory
