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

/// Checks a new event and renders its data. What JSON cannot hold (invalid UTF-8, NaN) is replaced
/// in `event.data` too, so that what is shown equals what is stored. Errors (invalid_input): a type
/// that is not dotted words, data nested too deep or too large.
Result<std::string> render_data(NewEvent& event);

/// A stored row back to an event. Errors: corrupt.
Result<Event> event_from_row(std::string session, Seq seq, int64_t time_ms, std::string_view type,
                             int64_t version, std::string_view data);

/// The distinct digests (hexadecimal) of blob locators anywhere in an event's JSON text.
std::vector<std::string> blob_digests_in(std::string_view data);

inline constexpr std::string_view kBlobPrefix = "blob:sha256:";

}  // namespace sable::memory
