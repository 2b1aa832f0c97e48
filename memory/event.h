// An event: one durable fact in a session's log (docs/events.md).
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace sable::memory {

/// The newest version of an event's data that this program writes and understands.
inline constexpr int kEventVersion = 1;

using Seq = uint64_t;  ///< from 1, gapless in each session

/// One durable fact in a session's log (docs/events.md).
struct Event {
  std::string session;
  Seq seq = 0;
  WallTime time;     ///< information only; `seq` is the order
  std::string type;  ///< "turn.started", "tool.outcome", ...
  int version = 1;   ///< of the shape of `data`
  Json data;
};

/// {session, seq, time, type, version, data}: the log's payload, a line of --json, the body of an
/// event on the WebSocket: one JSON everywhere.
Json to_json(const Event& event);

/// Whether a session may go on from this event. A newer version says that the meaning of a known
/// type has changed: what this program would make of it is not what happened. Errors: unsupported.
Result<void> check_understood(const Event& event);

struct NewEvent {
  std::string type;
  Json data;
  int version = 1;
};

}  // namespace sable::memory
