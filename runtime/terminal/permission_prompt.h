// Asks the person at the terminal whether a call may run.
#pragma once

#include "agent/agent.h"
#include "runtime/terminal/output.h"
#include "runtime/terminal/style.h"

namespace sable::runtime {

/// Prints the call and its choices to `output` and reads one line from `input_fd` (borrowed, a
/// terminal). End of input or an unknown answer after three tries is `reject`.
asio::awaitable<agent::Permission> ask_on_terminal(int input_fd, Output& output, Style style,
                                                   agent::PermissionRequest request);

}  // namespace sable::runtime
