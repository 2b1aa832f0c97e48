// Rebuilding a session's state from the store, rewinds respected.
#pragma once

#include "agent/history.h"
#include "base/asio.h"

namespace sable::agent {

/// The state as of event `last`. Errors: those of the store; corrupt when an event is missing.
asio::awaitable<Result<History>> history_of(memory::Store& store, std::string id, memory::Seq last);

}  // namespace sable::agent
