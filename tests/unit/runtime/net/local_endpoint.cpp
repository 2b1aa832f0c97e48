#include "tests/unit/runtime/net/local_endpoint.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>

#include "base/task_group.h"

namespace sable::test {

using asio::ip::tcp;
using boost::system::error_code;

struct LocalEndpoint::State : std::enable_shared_from_this<State> {
  State(asio::io_context& loop, Play what, bool v6)
      : play(std::move(what)),
        ipv6(v6),
        acceptor(loop, v6 ? tcp::endpoint(asio::ip::address_v6::loopback(), 0)
                          : tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}

  Play play;
  bool ipv6;
  tcp::acceptor acceptor;
  std::string request;
  bool peer_gone = false;

  template <class Stream>
  asio::awaitable<void> perform(Stream& stream) {
    error_code error;
    char buffer[4096];
    request.clear();
    while (play.read_request && request.find("\r\n\r\n") == std::string::npos) {
      const size_t n = co_await stream.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      request.append(buffer, n);
    }
    for (const auto& step : play.steps) {
      if (step.wait_before.count() > 0) co_await sleep_for(step.wait_before);
      co_await asio::async_write(stream, asio::buffer(step.bytes),
                                 asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
    }
    while (play.hang_at_end && !error) {
      const size_t n = co_await stream.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
      request.append(buffer, n);
      peer_gone = static_cast<bool>(error);
    }
  }

  /// Ends our half and reads what is left: closing with unread bytes would reset the connection.
  static asio::awaitable<void> leave(tcp::socket& socket) {
    error_code error;
    char buffer[4096];
    socket.shutdown(tcp::socket::shutdown_send, error);
    while (!error) {
      co_await socket.async_read_some(asio::buffer(buffer),
                                      asio::redirect_error(asio::use_awaitable, error));
    }
  }

  static asio::awaitable<void> serve(std::shared_ptr<State> self) {
    while (true) {
      error_code error;
      tcp::socket socket =
          co_await self->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      if (!self->play.tls) {
        co_await self->perform(socket);
        if (self->play.reset_at_end) {
          socket.set_option(asio::socket_base::linger(true, 0), error);
        } else {
          co_await leave(socket);
        }
        continue;
      }
      asio::ssl::context context(asio::ssl::context::tls_server);
      context.use_certificate_chain(asio::buffer(self->play.tls->certificate_pem));
      context.use_private_key(asio::buffer(self->play.tls->key_pem), asio::ssl::context::pem);
      asio::ssl::stream<tcp::socket> stream(std::move(socket), context);
      co_await stream.async_handshake(asio::ssl::stream_base::server,
                                      asio::redirect_error(asio::use_awaitable, error));
      if (error) continue;
      co_await self->perform(stream);
      if (self->play.end_tls) {
        co_await stream.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
      }
      co_await leave(stream.next_layer());
    }
  }
};

LocalEndpoint::LocalEndpoint(asio::io_context& loop, Play play, bool ipv6)
    : state_(std::make_shared<State>(loop, std::move(play), ipv6)) {
  asio::co_spawn(loop, State::serve(state_), [](const std::exception_ptr&) {});
}

LocalEndpoint::~LocalEndpoint() {
  error_code ignored;
  state_->acceptor.close(ignored);
}

uint16_t LocalEndpoint::port() const { return state_->acceptor.local_endpoint().port(); }

std::string LocalEndpoint::url(const std::string& path) const {
  return std::string(state_->play.tls ? "https://" : "http://") +
         (state_->ipv6 ? "[::1]" : "127.0.0.1") + ":" + std::to_string(port()) + path;
}

const std::string& LocalEndpoint::request() const { return state_->request; }
bool LocalEndpoint::peer_gone() const { return state_->peer_gone; }

}  // namespace sable::test
