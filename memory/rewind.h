// Which events count after a rewind. The log only grows: a rewind is the event "session.rewound"
// {to}, after which the session is what it was behind event `to`, plus what follows. Going back to
// just before a rewind undoes it.
#pragma once

#include <vector>

#include "memory/event.h"

namespace sable::memory {

inline constexpr const char* kRewound = "session.rewound";

struct Rewind {
  Seq at = 0;  ///< of the event "session.rewound"
  Seq to = 0;  ///< less than `at`
};

/// Reads one. {0, 0} when the event is not a sound rewind: it then changes nothing.
Rewind rewind_from(const Event& event);

/// Events first..last, both included.
struct EventRange {
  Seq first = 0, last = 0;
  friend bool operator==(const EventRange&, const EventRange&) = default;
};

/// The events that make up the session as of event `last`, in order. `rewinds` by `at`, ascending.
std::vector<EventRange> events_in_force(const std::vector<Rewind>& rewinds, Seq last);

}  // namespace sable::memory
