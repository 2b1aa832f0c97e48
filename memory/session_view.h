// The row of the session list, as a pure function of the events: no clock, no I/O.
#pragma once

#include "base/digest.h"
#include "memory/event_record.h"

namespace sable::memory {

struct SessionView {
  Seq n_events = 0;
  Digest head = kChainStart;  ///< hash of event n_events
  int64_t created_ms = 0, updated_ms = 0;
  uint64_t input_tokens = 0, output_tokens = 0;
  std::string status = "idle";
  std::string title, working_directory, agent, model;
  std::string parent;  ///< the session this one was forked from, or empty
  Seq parent_seq = 0;
  uint64_t data_bytes = 0;  ///< of the events' data as it is stored

  friend bool operator==(const SessionView&, const SessionView&) = default;
};

/// What an event changes besides the row.
struct ViewEffects {
  std::string call_started;  ///< id of a call that is now open, or empty
  std::string call_ended;    ///< id of a call that is no longer open, or empty
};

/// Folds one event into the view; `n_bytes` is what its data takes. Unknown types only count; data
/// of an unexpected shape is ignored.
ViewEffects apply_event(SessionView& view, const Event& event, const Digest& hash, size_t n_bytes);

}  // namespace sable::memory
