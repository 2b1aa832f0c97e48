// What a log lacks when a turn did not come to its own end.
#pragma once

#include <vector>

#include "agent/history.h"
#include "memory/memory.h"

namespace sable::agent {

/// What a stop of the program in the middle of a turn left without an end, told as facts.
std::vector<memory::NewEvent> events_of_recovery(const History& history);

/// The same where the turn is to go on: only the calls that may have run get an outcome, and the
/// turn no end.
std::vector<memory::NewEvent> outcomes_of_broken_calls(const History& history);

/// Outcomes of the calls that a turn's end came before.
std::vector<memory::NewEvent> outcomes_of_unrun_calls(const History& history);

}  // namespace sable::agent
