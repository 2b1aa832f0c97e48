// One accepted socket: the handshake, then messages both ways until either side ends it.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "runtime/server/websocket_server.h"

namespace sable::runtime {

/// Told to close by stop(); ends by itself in all other cases.
class WebSocketConnection {
 public:
  WebSocketConnection(asio::ip::tcp::socket socket, const ServerOptions& options,
                      LiveSessions& sessions, Log log);
  ~WebSocketConnection();

  /// From the request's head to the closed socket.
  asio::awaitable<void> serve();
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;  ///< shared with timers that cut a stalled socket
};

}  // namespace sable::runtime
