// `sable serve`: the protocol over WebSocket at /acp, and GET /healthz.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/log.h"
#include "runtime/server/acp.h"
#include "runtime/server/handshake.h"
#include "runtime/server/live_sessions.h"

namespace sable::runtime {

struct ServerOptions {
  ListenAddress listen;
  AccessRules access;
  AcpOptions acp;
  size_t connections_max = 64;
  size_t header_bytes_max = size_t{16} << 10;
  size_t message_bytes_max = size_t{16} << 20;  ///< of one message of a client
  size_t outbox_bytes_max = size_t{4} << 20;    ///< see Outbox
  std::chrono::milliseconds handshake_limit{10'000};
  std::chrono::milliseconds ping_interval{20'000};  ///< silence for twice as long ends a connection
  std::chrono::milliseconds stall_limit{10'000};    ///< for one message to be taken by a client
};

/// All connections live on the caller's executor: one loop, one thread. `sessions` outlives it; a
/// connection's end ends nothing of a session.
class WebSocketServer {
 public:
  /// Binds and listens. Errors: invalid_input (address, empty token), denied or io (the port is
  /// taken).
  static Result<std::unique_ptr<WebSocketServer>> listen(asio::any_io_executor executor,
                                                         ServerOptions options,
                                                         LiveSessions& sessions, Log log);
  ~WebSocketServer();

  /// What was bound: "127.0.0.1:41234", "[::1]:8080".
  std::string bound_address() const;

  /// Serves until stop(), or until it is cancelled; returns when every connection has ended. Once.
  asio::awaitable<void> run();

  /// Accepts nobody any more and closes all connections with 1001; those that do not follow are cut
  /// after two seconds.
  void stop();

 private:
  struct State;
  explicit WebSocketServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sable::runtime
