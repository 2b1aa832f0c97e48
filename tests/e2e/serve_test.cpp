// `sable serve`: the same turn over a real WebSocket.
#include <fstream>
#include <signal.h>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <catch2/catch.hpp>

#include "base/asio.h"
#include "tests/e2e/world.h"

using namespace sable;
using namespace sable::test;
using namespace std::chrono_literals;
namespace beast = boost::beast;

namespace {

/// A blocking client with the token, as a front end would be.
class Client {
 public:
  Client(const std::string& port, const std::string& token) : socket_(context_) {
    const asio::ip::tcp::endpoint server(asio::ip::make_address("127.0.0.1"),
                                         static_cast<uint16_t>(std::stoi(port)));
    beast::get_lowest_layer(socket_).connect(server);
    beast::get_lowest_layer(socket_).expires_after(60s);
    socket_.set_option(
        beast::websocket::stream_base::decorator([&](beast::websocket::request_type& request) {
          request.set(beast::http::field::authorization, "Bearer " + token);
        }));
    socket_.handshake("127.0.0.1:" + port, "/acp");
  }

  void send(const Json& message) { socket_.write(asio::buffer(dump_json(message))); }
  Json receive() {
    beast::flat_buffer buffer;
    socket_.read(buffer);
    return parse_json(beast::buffers_to_string(buffer.data())).value();
  }

  /// The result of a request; what comes before it is kept in `seen`.
  Json call(int id, const std::string& method, const Json& params) {
    send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}});
    while (true) {
      Json message = receive();
      if (message.contains("id") && message["id"] == id && !message.contains("method")) {
        return message;
      }
      seen.push_back(message);
      if (message.contains("id")) {  // a question: allow it once
        send({{"jsonrpc", "2.0"},
              {"id", message["id"]},
              {"result", {{"outcome", {{"outcome", "selected"}, {"optionId", "allow_once"}}}}}});
      }
    }
  }

  std::vector<Json> seen;

 private:
  asio::io_context context_;
  beast::websocket::stream<beast::tcp_stream> socket_;
};

std::string port_of(const World& world) {
  for (int i = 0; i < 1000; ++i) {
    const auto json = parse_json(world.folder().read("serve.out"));
    if (json && json->contains("listening")) {
      const auto address = string_or(*json, "listening", "");
      return address.substr(address.rfind(':') + 1);
    }
    std::this_thread::sleep_for(10ms);
  }
  return "";
}

}  // namespace

TEST_CASE("a front end gets the same turn over the WebSocket, asked before a tool runs") {
  World world;
  const auto config = world.folder().write("ask.yaml", "tools: {shell: {approval: ask}}\n");
  auto& model = world.play(
      Json::array({{{"tool_calls", Json::array({tool_call("shell", {{"command", "touch made"}})})}},
                   {{"text", "It is made."}}}));
  auto arguments = world.model_arguments();
  arguments.insert(arguments.begin(),
                   {"serve", "--json", "--listen", "127.0.0.1:0", "--config", config.string()});
  auto server = world.start(arguments, "serve");
  const auto port = port_of(world);
  INFO(world.folder().read("serve.err"));
  REQUIRE_FALSE(port.empty());
  const auto token_text = world.folder().read("home/token");
  const auto token = token_text.substr(0, token_text.find('\n'));

  Client client(port, token);
  const auto hello = client.call(1, "initialize",
                                 {{"protocolVersion", 1}, {"clientCapabilities", Json::object()}});
  CHECK(hello["result"]["protocolVersion"] == 1);
  const auto created = client.call(
      2, "session/new", {{"cwd", world.repository().string()}, {"mcpServers", Json::array()}});
  INFO(dump_json(created));
  const auto id = string_or(created["result"], "sessionId", "");
  REQUIRE_FALSE(id.empty());
  const auto answered = client.call(
      3, "session/prompt",
      {{"sessionId", id}, {"prompt", Json::array({{{"type", "text"}, {"text", "make it"}}})}});
  INFO(dump_json(answered));
  CHECK(answered["result"]["stopReason"] == "end_turn");
  CHECK(std::filesystem::exists(world.repository() / "made"));
  CHECK(model.complaints().empty());

  bool was_asked = false;
  std::string text;
  for (const auto& message : client.seen) {
    const auto method = string_or(message, "method", "");
    was_asked = was_asked || method == "session/request_permission";
    if (method == "session/update") {
      const auto& update = message["params"]["update"];
      if (update["sessionUpdate"] == "agent_message_chunk") {
        text += update["content"]["text"].get<std::string>();
      }
    }
  }
  CHECK(was_asked);
  CHECK(text == "It is made.");

  // Other processes read the same home meanwhile.
  const auto listed = world.sable({"session", "list", "--json"}).json_lines();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0]["id"] == id);

  REQUIRE(server.signal(SIGTERM));
  CHECK(world.finish(server, "serve", 5s).exit_code == 143);
}
