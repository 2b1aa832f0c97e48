#include "agent/recovery.h"

#include "agent/events.h"

namespace sable::agent {

namespace {

memory::NewEvent outcome_of(const RequestedCall& call, bool may_have_run) {
  return events::tool_outcome(
      call.id, call.name, may_have_run ? "unknown" : "cancelled",
      may_have_run ? "The program stopped while this call was running or about to run. Whether it "
                     "took effect is unknown: check before you repeat it."
                   : "The program stopped before this call began; it had no effect.",
      {}, {{"recovered", true}});
}

}  // namespace

std::vector<memory::NewEvent> events_of_recovery(const History& history) {
  std::vector<memory::NewEvent> repairs;
  for (const auto& call : history.open_calls()) {
    repairs.push_back(outcome_of(call, history.may_have_run(call.id)));
  }
  if (history.turn_open()) {
    const TurnSoFar& turn = history.turn();
    repairs.push_back(events::turn_ended(history.n_turns(), "interrupted",
                                         "the program stopped in the middle of this turn",
                                         turn.usage, std::chrono::milliseconds(0), turn.n_steps,
                                         turn.n_tool_calls, turn.files_changed));
  }
  return repairs;
}

std::vector<memory::NewEvent> outcomes_of_broken_calls(const History& history) {
  std::vector<memory::NewEvent> outcomes;
  for (const auto& call : history.open_calls()) {
    if (history.may_have_run(call.id)) outcomes.push_back(outcome_of(call, true));
  }
  return outcomes;
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
