#include "runtime/server/websocket_server.h"

#include <list>

#include <fmt/format.h>

#include "runtime/server/websocket_connection.h"

namespace sable::runtime {

namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

struct WebSocketServer::State {
  State(asio::any_io_executor executor, ServerOptions how, LiveSessions& all, Log where)
      : options(std::move(how)),
        sessions(all),
        log(std::move(where)),
        acceptor(executor),
        tasks(executor) {}

  ServerOptions options;
  LiveSessions& sessions;
  Log log;
  tcp::acceptor acceptor;
  TaskGroup tasks;
  std::list<WebSocketConnection> connections;
  bool stopping = false;

  asio::awaitable<void> serve_one(tcp::socket socket) {
    const auto it =
        connections.emplace(connections.end(), std::move(socket), options, sessions, log);
    co_await it->serve();
    connections.erase(it);
  }

  asio::awaitable<void> accept() {
    while (!stopping) {
      error_code error;
      tcp::socket socket =
          co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (stopping || error == asio::error::operation_aborted) break;
      if (error) {
        // Out of descriptors, most likely: those who are connected go on.
        log.warning("cannot accept a connection", {{"error", error.message()}});
        co_await sleep_for(kAcceptPause);
        continue;
      }
      if (connections.size() >= options.connections_max) {
        log.warning("too many connections", {{"max", options.connections_max}});
        continue;  // closes it
      }
      socket.set_option(tcp::no_delay(true), error);
      tasks.spawn(serve_one(std::move(socket)));
    }
  }
};

WebSocketServer::WebSocketServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
WebSocketServer::~WebSocketServer() = default;

Result<std::unique_ptr<WebSocketServer>> WebSocketServer::listen(asio::any_io_executor executor,
                                                                 ServerOptions options,
                                                                 LiveSessions& sessions, Log log) {
  if (options.access.token.empty()) {
    return fail(ErrorCode::invalid_input, "the server needs a token");
  }
  error_code error;
  const auto address = asio::ip::make_address(options.listen.address, error);
  if (error) {
    return fail(ErrorCode::invalid_input, "not an IP address: " + options.listen.address);
  }
  const tcp::endpoint endpoint(address, options.listen.port);
  auto state = std::make_unique<State>(executor, std::move(options), sessions, std::move(log));
  auto& acceptor = state->acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(error == asio::error::access_denied ? ErrorCode::denied : ErrorCode::io,
                fmt::format("cannot listen on {}:{}: {}; choose another port with --listen",
                            endpoint.address().to_string(), endpoint.port(), error.message()));
  }
  return std::unique_ptr<WebSocketServer>(new WebSocketServer(std::move(state)));
}

std::string WebSocketServer::bound_address() const {
  error_code error;
  const auto endpoint = state_->acceptor.local_endpoint(error);
  const auto address = endpoint.address().to_string();
  return fmt::format("{}:{}", endpoint.address().is_v6() ? "[" + address + "]" : address,
                     endpoint.port());
}

asio::awaitable<void> WebSocketServer::run() {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await state_->accept();
  stop();
  co_await state_->tasks.join();
}

void WebSocketServer::stop() {
  state_->stopping = true;
  error_code ignored;
  state_->acceptor.close(ignored);
  for (auto& connection : state_->connections) connection.stop();
}

}  // namespace sable::runtime
