#include "agent/recovery.h"

#include "agent/events.h"

namespace sable::agent {

std::vector<memory::NewEvent> events_of_recovery(const History& history) {
  std::vector<memory::NewEvent> repairs;
  for (const auto& call : history.open_calls()) {
    const bool unknown = history.may_have_run(call.id);
    repairs.push_back(events::tool_outcome(
        call.id, call.name, unknown ? "unknown" : "cancelled",
        unknown ? "The program stopped while this call was running or about to run. Whether it "
                  "took effect is unknown: check before you repeat it."
                : "The program stopped before this call began; it had no effect.",
        {}, {{"recovered", true}}));
  }
  if (history.turn_open()) {
    repairs.push_back(events::turn_ended(history.n_turns(), "interrupted",
                                         "the program stopped in the middle of this turn", {},
                                         std::chrono::milliseconds(0), 0, 0, {}));
  }
  return repairs;
}

std::vector<memory::NewEvent> outcomes_of_unrun_calls(const History& history) {
  std::vector<memory::NewEvent> outcomes;
  for (const auto& call : history.open_calls()) {
    outcomes.push_back(events::tool_outcome(call.id, call.name, "cancelled",
                                            "The turn ended before this call ran.", {},
                                            Json::object()));
  }
  return outcomes;
}

}  // namespace sable::agent
