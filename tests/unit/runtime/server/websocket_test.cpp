// The server as a client sees it: a real WebSocket on loopback.
#include <future>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <catch2/catch.hpp>

#include "runtime/server/websocket_server.h"
#include "tests/support/scripted_session_host.h"

using namespace sable;
using namespace sable::runtime;
using asio::ip::tcp;
using boost::system::error_code;
using sable::test::Act;
using std::chrono::milliseconds;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

namespace {

constexpr std::chrono::seconds kPatience{10};

/// A server on a thread of its own.
class Server {
 public:
  explicit Server(ServerOptions options = {})
      : sessions_(host, loop_.get_executor(), {}, Log::none()) {
    options.access.token = "a-token-of-a-test";
    options.access.allowed_origins = {"https://app.example"};
    auto listening = WebSocketServer::listen(loop_.get_executor(), options, sessions_, Log::none());
    REQUIRE(listening);
    server_ = std::move(*listening);
    const auto address = server_->bound_address();
    port_ = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    asio::co_spawn(loop_, serve(*server_, sessions_), [](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);
    });
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Server() {
    stop();
    thread_.join();
  }

  void stop() {
    asio::post(loop_, [this] { server_->stop(); });
  }
  uint16_t port() const { return port_; }

  /// Runs a function on the server's thread and waits for it.
  void on_loop(const std::function<void()>& function) {
    std::promise<void> done;
    asio::post(loop_, [&] {
      function();
      done.set_value();
    });
    done.get_future().wait();
  }

  test::ScriptedSessionHost host;

 private:
  static asio::awaitable<void> serve(WebSocketServer& server, LiveSessions& sessions) {
    co_await server.run();
    co_await sessions.stop("the server stops");
  }

  asio::io_context loop_;
  LiveSessions sessions_;
  std::unique_ptr<WebSocketServer> server_;
  uint16_t port_ = 0;
  std::thread thread_;
};

/// A client whose every wait ends.
class Client {
 public:
  explicit Client(Server& server) : stream(loop_) {
    stream.next_layer().connect({asio::ip::address_v4::loopback(), server.port()});
  }

  /// The status of the answer to the handshake; 101 when it was accepted.
  int shake_hands(std::map<std::string, std::string> headers, const std::string& path = "/acp",
                  const std::string& host = "127.0.0.1") {
    stream.set_option(websocket::stream_base::decorator([&](websocket::request_type& request) {
      for (const auto& [name, value] : headers) request.set(name, value);
    }));
    error_code error;
    bool over = false;
    stream.async_handshake(response, host, path, [&](error_code result) {
      error = result;
      over = true;
    });
    wait(over);
    return static_cast<int>(response.result_int());
  }
  void enter() { REQUIRE(shake_hands({{"Authorization", "Bearer a-token-of-a-test"}}) == 101); }

  void send(const std::string& text, bool as_text = true) {
    stream.text(as_text);
    bool over = false;
    stream.async_write(asio::buffer(text), [&](error_code, size_t) { over = true; });
    wait(over);
  }

  /// The next message; empty when the connection has ended (then see closed_with()).
  std::string receive() {
    bool over = false;
    error_code error;
    boost::beast::flat_buffer buffer;
    stream.async_read(buffer, [&](error_code result, size_t) {
      error = result;
      over = true;
    });
    wait(over);
    if (error) return {};
    return {static_cast<const char*>(buffer.data().data()), buffer.size()};
  }

  int closed_with() {
    while (!receive().empty()) {
    }
    return stream.reason().code;
  }

  Json call(int id, const std::string& method, const Json& params) {
    send(rpc_request(id, method, params));
    others.clear();
    while (true) {
      const auto text = receive();
      REQUIRE_FALSE(text.empty());
      auto message = parse_json(text).value();
      if (message.contains("id") && message["id"] == id && !message.contains("method"))
        return message;
      others.push_back(std::move(message));
    }
  }

  void wait(const bool& over) {
    const auto limit = std::chrono::steady_clock::now() + kPatience;
    while (!over && std::chrono::steady_clock::now() < limit) {
      loop_.restart();
      loop_.run_one_for(milliseconds(50));
    }
    REQUIRE(over);
  }

 private:
  asio::io_context loop_;

 public:
  websocket::stream<tcp::socket> stream;
  websocket::response_type response;
  std::vector<Json> others;
};

/// Sends bytes as they are and returns all that comes back.
std::string raw(Server& server, const std::string& bytes) {
  asio::io_context loop;
  tcp::socket socket(loop);
  socket.connect({asio::ip::address_v4::loopback(), server.port()});
  asio::write(socket, asio::buffer(bytes));
  error_code error;
  socket.shutdown(tcp::socket::shutdown_send, error);
  std::string answer;
  asio::read(socket, asio::dynamic_buffer(answer), error);
  return answer;
}

}  // namespace

TEST_CASE("a whole turn over a real WebSocket") {
  Server server;
  Client client(server);
  client.enter();
  CHECK(client.call(1, "initialize", {{"protocolVersion", 1}})["result"]["protocolVersion"] == 1);
  const std::string session =
      client.call(2, "session/new", {{"cwd", "/repo"}})["result"]["sessionId"];
  server.on_loop([&] {
    server.host.turns.push_back({Act::event("model.requested", {{"step", 1}}), Act::text(1, "hel"),
                                 Act::ask("shell"),
                                 Act::event("model.finished", {{"step", 1}, {"text", "hello"}})});
  });
  client.send(rpc_request(
      3, "session/prompt",
      {{"sessionId", session}, {"prompt", Json::array({{{"type", "text"}, {"text", "go"}}})}}));
  std::string text;
  Json answer;
  while (answer.is_null()) {
    const auto received = client.receive();
    REQUIRE_FALSE(received.empty());
    const auto message = parse_json(received).value();
    if (message.value("method", "") == "session/request_permission") {
      client.send(rpc_result(message["id"],
                             {{"outcome", {{"outcome", "selected"}, {"optionId", "allow_once"}}}}));
    } else if (message.value("method", "") == "session/update") {
      text += message["params"]["update"]["content"]["text"].get<std::string>();
    } else if (message.contains("id")) {
      answer = message;
    }
  }
  CHECK(answer["result"]["stopReason"] == "end_turn");
  CHECK(text == "hello");
}

TEST_CASE("who may not enter is refused before the upgrade, and told in JSON") {
  Server server;
  const auto status = [&](std::map<std::string, std::string> headers,
                          const std::string& path = "/acp", const std::string& host = "127.0.0.1") {
    Client client(server);
    const int result = client.shake_hands(std::move(headers), path, host);
    CHECK(client.response["Content-Type"] == (result == 101 ? "" : "application/json"));
    if (result != 101)
      CHECK(parse_json(client.response.body()).value()["error"]["status"] == result);
    return result;
  };
  const std::pair<const std::string, std::string> token{"Authorization",
                                                        "Bearer a-token-of-a-test"};
  CHECK(status({token}) == 101);
  CHECK(status({}) == 401);
  CHECK(status({{"Authorization", "Bearer wrong"}}) == 401);
  CHECK(status({token, {"Origin", "https://evil.example"}}) == 403);
  CHECK(status({token, {"Origin", "https://app.example"}}) == 101);
  CHECK(status({token}, "/acp", "evil.example") == 403);
  CHECK(status({token}, "/other") == 404);
  CHECK(status({token}, "/acp?token=x") == 101);
  CHECK(status({{"Sec-WebSocket-Protocol", "sable.v1, bearer.a-token-of-a-test"}}) == 101);
  CHECK(status({{"Sec-WebSocket-Protocol", "sable.v1, bearer.wrong"}}) == 401);
}

TEST_CASE("plain HTTP gets health, 404, 405, 426 and 400; none of it hurts") {
  Server server;
  const auto get = [&](const std::string& line, const std::string& more = "") {
    return raw(server, line + " HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n");
  };
  const auto health = get("GET /healthz");
  CHECK(health.starts_with("HTTP/1.1 200 "));
  CHECK(health.ends_with("{\"status\":\"ok\"}"));
  CHECK(get("GET /").starts_with("HTTP/1.1 404 "));
  CHECK(get("POST /acp").starts_with("HTTP/1.1 405 "));
  const auto no_upgrade = get("GET /acp", "Authorization: Bearer a-token-of-a-test\r\n");
  CHECK(no_upgrade.starts_with("HTTP/1.1 426 "));
  CHECK(no_upgrade.find("Sec-WebSocket-Version: 13\r\n") != std::string::npos);
  CHECK(raw(server, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(get("GET /acp", "X: " + std::string(20'000, 'x') + "\r\n").starts_with("HTTP/1.1 431 "));
  CHECK(get("GET /healthz", "Host: evil.example\r\n").starts_with("HTTP/1.1 403 "));
  CHECK(raw(server, "").empty());
  CHECK(get("GET /healthz").starts_with("HTTP/1.1 200 "));
}

TEST_CASE("frames that break the rules end the connection with the right code, and nobody else's") {
  Server server({.message_bytes_max = 1000});
  Client bystander(server);
  bystander.enter();
  Client client(server);
  client.enter();
  SECTION("binary: 1003") {
    client.send("{}", false);
    CHECK(client.closed_with() == 1003);
  }
  SECTION("too big: 1009") {
    client.send(std::string(1001, ' '));
    CHECK(client.closed_with() == 1009);
  }
  SECTION("not UTF-8: 1007") {
    client.send("\"\xff\xfe\"");
    CHECK(client.closed_with() == 1007);
  }
  SECTION("an unmasked frame: 1002") {
    asio::write(client.stream.next_layer(), asio::buffer(std::string("\x81\x02{}", 4)));
    CHECK(client.closed_with() == 1002);
  }
  SECTION("a reserved bit: 1002") {
    asio::write(client.stream.next_layer(), asio::buffer(std::string("\xc1\x82\0\0\0\0{}", 8)));
    CHECK(client.closed_with() == 1002);
  }
  SECTION("a close is echoed") {
    bool over = false;
    client.stream.async_close(websocket::close_code::normal, [&](error_code error) {
      CHECK_FALSE(error);
      over = true;
    });
    client.wait(over);
  }
  SECTION("a torn connection") { client.stream.next_layer().close(); }
  CHECK(bystander.call(1, "initialize", {{"protocolVersion", 1}}).contains("result"));
}

TEST_CASE("garbage in text is answered and the connection goes on") {
  Server server;
  Client client(server);
  client.enter();
  client.send("{");
  CHECK(parse_json(client.receive()).value()["error"]["code"] == -32700);
  client.send("[]");
  CHECK(parse_json(client.receive()).value()["error"]["code"] == -32600);
  CHECK(client.call(1, "initialize", {{"protocolVersion", 1}}).contains("result"));
}

TEST_CASE("many clients send many messages at once") {
  Server server;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->enter();
    clients.back()->call(0, "initialize", {{"protocolVersion", 1}});
  }
  for (int id = 1; id <= 50; ++id) {
    for (auto& client : clients) client->send(rpc_request(id, "_sable/ping", Json::object()));
  }
  for (auto& client : clients) {
    for (int id = 1; id <= 50; ++id) CHECK(parse_json(client->receive()).value()["id"] == id);
  }
}

TEST_CASE("a client that takes nothing is cut; the others go on and no memory piles up") {
  Server server({.outbox_bytes_max = 100'000, .stall_limit = milliseconds(200)});
  Client slow(server), other(server);
  slow.enter();
  other.enter();
  slow.call(1, "initialize", {{"protocolVersion", 1}});
  other.call(1, "initialize", {{"protocolVersion", 1}});
  const std::string session =
      slow.call(2, "session/new", {{"cwd", "/repo"}})["result"]["sessionId"];
  slow.call(3, "_sable/subscribe", {{"sessionId", session}});
  const std::string large(100'000, 'x');
  for (int i = 0; i < 200; ++i) {
    server.on_loop([&] { server.host.append(session, "note.added", {{"text", large}}); });
  }
  std::this_thread::sleep_for(milliseconds(600));
  // What was in the socket's buffers still arrives; then it is over.
  int n_events = 0;
  while (!slow.receive().empty()) ++n_events;
  CHECK(n_events < 200);
  CHECK(other.call(2, "_sable/subscribe",
                   {{"sessionId", session}, {"after", 199}})["result"]["last"] == 201);
}

TEST_CASE("who sends no request is cut after the handshake's limit") {
  Server server({.handshake_limit = milliseconds(50)});
  asio::io_context loop;
  tcp::socket socket(loop);
  socket.connect({asio::ip::address_v4::loopback(), server.port()});
  char byte;
  error_code error;
  asio::read(socket, asio::buffer(&byte, 1), error);
  CHECK(error);
}

TEST_CASE("a client that answers no pings is dropped") {
  Server server({.ping_interval = milliseconds(50)});
  Client client(server);
  client.enter();
  std::this_thread::sleep_for(milliseconds(400));  // reads nothing, so answers nothing
  CHECK(client.receive().empty());
  Client lively(server);
  lively.enter();
  lively.call(1, "initialize", {{"protocolVersion", 1}});
}

TEST_CASE("stopping closes everybody with 1001, also those in the middle of a turn") {
  Server server;
  Client idle(server), busy(server);
  idle.enter();
  busy.enter();
  busy.call(1, "initialize", {{"protocolVersion", 1}});
  const std::string session =
      busy.call(2, "session/new", {{"cwd", "/repo"}})["result"]["sessionId"];
  server.on_loop([&] { server.host.turns.push_back({Act::wait()}); });
  busy.send(rpc_request(
      3, "session/prompt",
      {{"sessionId", session}, {"prompt", Json::array({{{"type", "text"}, {"text", "go"}}})}}));
  server.stop();
  CHECK(idle.closed_with() == 1001);
  CHECK(busy.closed_with() == 1001);
}

TEST_CASE("a port that is taken, and a server without a token, are refused with a sentence") {
  Server server;
  asio::io_context loop;
  test::ScriptedSessionHost host;
  LiveSessions sessions(host, loop.get_executor(), {}, Log::none());
  ServerOptions options;
  CHECK_FALSE(WebSocketServer::listen(loop.get_executor(), options, sessions, Log::none()));
  options.access.token = "a-token-of-a-test";
  options.listen.port = server.port();
  const auto taken = WebSocketServer::listen(loop.get_executor(), options, sessions, Log::none());
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message.find("--listen") != std::string::npos);
}
