// Names to addresses, without ever holding up the loop or the program's end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/asio.h"
#include "base/result.h"

namespace sable::runtime {

using Endpoints = std::vector<asio::ip::tcp::endpoint>;

/// Looks a name up and blocks until it is done.
using BlockingLookup = std::function<Result<Endpoints>(const std::string& host, uint16_t port)>;

/// getaddrinfo(3) for stream sockets, in the resolver's order. Errors: io, with its reason.
Result<Endpoints> system_lookup(const std::string& host, uint16_t port);

/// Runs `lookup` on a thread of its own. The system's resolver cannot be interrupted, so the waiter
/// leaves instead: on cancellation, at `limit`, or when its loop is destroyed; the thread then ends
/// by itself and touches nothing of the waiter's. Errors: those of `lookup`; timed_out; cancelled;
/// exhausted when too many abandoned lookups still run.
asio::awaitable<Result<Endpoints>> look_up(std::string host, uint16_t port,
                                           std::chrono::milliseconds limit,
                                           BlockingLookup lookup = system_lookup);

}  // namespace sable::runtime
