#include "runtime/server/websocket_connection.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace sable::runtime {

namespace {

namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;
using Request = http::request<http::empty_body>;

constexpr std::chrono::milliseconds kCloseLimit{2000};
constexpr size_t kCloseReasonMax = 123;  // RFC 6455, section 5.5

std::string text_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// A field that must come once: empty when it is absent or repeated.
std::string single(const Request& request, http::field name) {
  return request.count(name) == 1 ? text_of(request[name]) : std::string();
}

RequestFacts facts_of(const Request& request) {
  RequestFacts facts;
  facts.method = text_of(request.method_string());
  facts.path = text_of(request.target());
  facts.path = facts.path.substr(0, facts.path.find('?'));
  facts.host = single(request, http::field::host);
  if (request.count(http::field::origin) > 0) {
    // Two of them are as foreign as one can be.
    facts.origin = single(request, http::field::origin);
  }
  facts.authorization = single(request, http::field::authorization);
  for (const auto& protocol : http::token_list(request[http::field::sec_websocket_protocol])) {
    facts.subprotocols.push_back(text_of(protocol));
  }
  facts.is_upgrade = websocket::is_upgrade(request);
  facts.websocket_version = single(request, http::field::sec_websocket_version);
  return facts;
}

http::response<http::string_body> answer(const Verdict& verdict) {
  http::response<http::string_body> response(static_cast<http::status>(verdict.status), 11);
  response.set(http::field::content_type, "application/json");
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  if (verdict.status == 401) response.set(http::field::www_authenticate, "Bearer");
  if (verdict.status == 405) response.set(http::field::allow, "GET");
  if (verdict.status == 426) {
    response.set(http::field::upgrade, "websocket");
    response.set(http::field::sec_websocket_version, "13");
  }
  response.keep_alive(false);
  response.body() =
      verdict.status == 200
          ? dump_json({{"status", "ok"}})
          : dump_json({{"error", {{"status", verdict.status}, {"message", verdict.message}}}});
  response.prepare_payload();
  return response;
}

}  // namespace

struct WebSocketConnection::State : std::enable_shared_from_this<State> {
  State(tcp::socket socket, const ServerOptions& how, LiveSessions& all, Log where)
      : options(how),
        sessions(all),
        log(std::move(where)),
        stream(std::move(socket)),
        outbox(stream.get_executor(), options.outbox_bytes_max),
        protocol(sessions, outbox, stream.get_executor(), options.acp, log),
        tasks(stream.get_executor()),
        cutter(stream.get_executor()) {}

  const ServerOptions& options;
  LiveSessions& sessions;
  Log log;
  websocket::stream<tcp::socket> stream;
  Outbox outbox;
  AcpConnection protocol;
  TaskGroup tasks;
  asio::steady_timer cutter;
  boost::beast::flat_buffer buffer;
  bool upgraded = false;

  void cut() {
    error_code ignored;
    stream.next_layer().close(ignored);
  }

  /// Cuts the socket after `limit`, unless it is called off or set again before.
  void cut_after(std::chrono::milliseconds limit) {
    cutter.expires_after(limit);
    cutter.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self && self->cutter.expiry() <= asio::steady_timer::clock_type::now()) {
        self->cut();
      }
    });
  }

  void spare() { cutter.expires_at(asio::steady_timer::time_point::max()); }

  asio::awaitable<void> serve() {
    const bool accepted = co_await shake_hands();
    if (accepted) {
      tasks.spawn(read());
      tasks.spawn(write());
      co_await tasks.join();
      co_await protocol.close();
    }
    spare();
    cut();
  }

  /// Reads the request's head and answers it; true when messages may follow.
  asio::awaitable<bool> shake_hands() {
    cut_after(options.handshake_limit);
    error_code error;
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(options.header_bytes_max));
    co_await http::async_read_header(stream.next_layer(), buffer, parser,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      // What is HTTP gone wrong is answered; a connection that broke or was cut cannot be.
      const bool is_http = error.category() == make_error_code(http::error::bad_method).category();
      if (is_http && error != http::error::end_of_stream) {
        const Verdict malformed = error == http::error::header_limit
                                      ? Verdict{431, "the request's head is too large"}
                                      : Verdict{400, "not a valid HTTP request"};
        co_await reply(malformed);
      }
      co_return false;
    }
    const Request& request = parser.get();
    const Verdict verdict = decide(facts_of(request), options.access);
    if (verdict.status != 101) {
      if (verdict.status != 200) {
        log.warning("refused a request", {{"status", verdict.status},
                                          {"why", verdict.message},
                                          {"peer", peer()},
                                          {"origin", text_of(request[http::field::origin])}});
      }
      co_await reply(verdict);
      co_return false;
    }
    stream.read_message_max(options.message_bytes_max);
    stream.auto_fragment(false);
    stream.set_option(
        websocket::stream_base::timeout{options.handshake_limit, 2 * options.ping_interval, true});
    stream.set_option(websocket::stream_base::decorator(
        [protocol_name = verdict.subprotocol](websocket::response_type& response) {
          response.set(http::field::server, "sable");
          if (!protocol_name.empty()) {
            response.set(http::field::sec_websocket_protocol, protocol_name);
          }
        }));
    co_await stream.async_accept(request, asio::redirect_error(asio::use_awaitable, error));
    spare();
    upgraded = !error;
    co_return upgraded;
  }

  asio::awaitable<void> reply(const Verdict& verdict) {
    const auto response = answer(verdict);
    error_code error;
    co_await http::async_write(stream.next_layer(), response,
                               asio::redirect_error(asio::use_awaitable, error));
    stream.next_layer().shutdown(tcp::socket::shutdown_send, error);
    // Reads what is still coming: closing with unread bytes would tear the answer away.
    char rest[1024];
    for (int i = 0; i < 64 && !error; ++i) {
      co_await stream.next_layer().async_read_some(
          asio::buffer(rest), asio::redirect_error(asio::use_awaitable, error));
    }
  }

  std::string peer() {
    error_code error;
    const auto endpoint = stream.next_layer().remote_endpoint(error);
    return error ? "unknown" : endpoint.address().to_string();
  }

  asio::awaitable<void> read() {
    // What came with the request's head belongs to no message: clients wait for the 101.
    boost::beast::flat_buffer incoming;
    while (!outbox.closing()) {
      error_code error;
      co_await stream.async_read(incoming, asio::redirect_error(asio::use_awaitable, error));
      if (error) break;  // broken rules have been answered with their close code by then
      if (!stream.got_text()) {
        outbox.request_close({websocket::close_code::unknown_data, "send text"});
        break;
      }
      const auto data = incoming.data();
      protocol.receive({static_cast<const char*>(data.data()), data.size()});
      incoming.consume(incoming.size());
      if (incoming.capacity() > (size_t{1} << 20)) incoming.shrink_to_fit();
      if (outbox.overflowed()) outbox.request_close({4429, "too slow: messages are not taken"});
    }
    // Wakes the writer, if this was the other side's doing.
    outbox.request_close({websocket::close_code::normal, ""});
  }

  asio::awaitable<void> write() {
    error_code error;
    while (!error) {
      co_await outbox.wait_for_message();
      if (outbox.overflowed()) outbox.request_close({4429, "too slow: messages are not taken"});
      if (outbox.overflowed()) break;
      const auto message = outbox.pop();
      if (!message) break;  // asked to close, and all is sent
      cut_after(options.stall_limit);
      stream.text(true);
      co_await stream.async_write(asio::buffer(*message),
                                  asio::redirect_error(asio::use_awaitable, error));
      spare();
    }
    cut_after(kCloseLimit);
    if (!error && stream.is_open()) {
      const auto closing = outbox.closing().value_or(Outbox::Closing{});
      websocket::close_reason reason(static_cast<websocket::close_code>(closing.code));
      const auto length = utf8_prefix(closing.reason, kCloseReasonMax);
      reason.reason.assign(closing.reason.data(), length);
      co_await stream.async_close(reason, asio::redirect_error(asio::use_awaitable, error));
    }
    outbox.request_close({});
    cut();
  }
};

WebSocketConnection::WebSocketConnection(tcp::socket socket, const ServerOptions& options,
                                         LiveSessions& sessions, Log log)
    : state_(std::make_shared<State>(std::move(socket), options, sessions, std::move(log))) {}

WebSocketConnection::~WebSocketConnection() = default;

asio::awaitable<void> WebSocketConnection::serve() { return state_->serve(); }

void WebSocketConnection::stop() {
  state_->outbox.request_close(
      {boost::beast::websocket::close_code::going_away, "the server stops"});
  if (!state_->upgraded) state_->cut();
}

}  // namespace sable::runtime
