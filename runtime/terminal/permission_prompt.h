// Asks the person at the terminal: whether a call may run, or what the model wants to know.
#pragma once

#include "agent/agent.h"
#include "runtime/terminal/output.h"
#include "runtime/terminal/style.h"

namespace sable::runtime {

/// Prints the whole call and its choices to `output` and reads one line from `input_fd` (borrowed,
/// a terminal). End of input or an unknown answer after three tries is `reject`.
asio::awaitable<agent::Permission> ask_on_terminal(int input_fd, Output& output, Style style,
                                                   agent::PermissionRequest request);

/// The same for a question of the model: a line that is the number of a choice, or an answer in the
/// person's own words. nullopt for an empty line and at the end of input.
asio::awaitable<std::optional<std::string>> ask_question_on_terminal(int input_fd, Output& output,
                                                                     Style style,
                                                                     tools::Question question);

/// One line that a person types at the terminal `input_fd` (borrowed), without its end; nullopt at
/// the end of input and when the coroutine is cancelled.
asio::awaitable<std::optional<std::string>> read_answer(int input_fd, Output& output);

}  // namespace sable::runtime
