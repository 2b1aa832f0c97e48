#include "tests/e2e/front_end.h"

#include <signal.h>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <catch2/catch.hpp>

#include "base/asio.h"

namespace sable::test {

using namespace std::chrono_literals;
namespace beast = boost::beast;

struct FrontEnd::Connection {
  asio::io_context context;
  beast::websocket::stream<beast::tcp_stream> socket{context};
};

FrontEnd::FrontEnd(const std::string& port, const std::string& token)
    : connection_(std::make_unique<Connection>()) {
  auto& socket = connection_->socket;
  const asio::ip::tcp::endpoint server(asio::ip::make_address("127.0.0.1"),
                                       static_cast<uint16_t>(std::stoi(port)));
  beast::get_lowest_layer(socket).connect(server);
  beast::get_lowest_layer(socket).expires_after(60s);
  socket.set_option(
      beast::websocket::stream_base::decorator([&](beast::websocket::request_type& request) {
        request.set(beast::http::field::authorization, "Bearer " + token);
      }));
  socket.handshake("127.0.0.1:" + port, "/acp");
}

FrontEnd::~FrontEnd() = default;

Json FrontEnd::receive() {
  beast::flat_buffer buffer;
  connection_->socket.read(buffer);
  return parse_json(beast::buffers_to_string(buffer.data())).value();
}

Json FrontEnd::call(const std::string& method, const Json& params) {
  const int id = ++n_requests_;
  const auto send = [&](const Json& message) {
    connection_->socket.write(asio::buffer(dump_json(message)));
  };
  send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}});
  while (true) {
    Json message = receive();
    const bool is_question = message.contains("id") && message.contains("method");
    if (!is_question && message.contains("id") && message["id"] == id) return message;
    seen.push_back(message);
    if (!is_question) continue;
    if (on_question) on_question(message);
    send({{"jsonrpc", "2.0"},
          {"id", message["id"]},
          {"result", {{"outcome", {{"outcome", "selected"}, {"optionId", choice}}}}}});
  }
}

std::string FrontEnd::begin(const std::filesystem::path& repository) {
  const auto hello =
      call("initialize", {{"protocolVersion", 1}, {"clientCapabilities", Json::object()}});
  CHECK(hello["result"]["protocolVersion"] == 1);
  const auto created =
      call("session/new", {{"cwd", repository.string()}, {"mcpServers", Json::array()}});
  INFO(dump_json(created));
  const auto id = string_or(created["result"], "sessionId", "");
  REQUIRE_FALSE(id.empty());
  return id;
}

Json FrontEnd::prompt(const std::string& session, const std::string& text) {
  return call("session/prompt", {{"sessionId", session},
                                 {"prompt", Json::array({{{"type", "text"}, {"text", text}}})}});
}

namespace {

ChildProcess start_serving(const World& world, std::vector<std::string> further) {
  std::vector<std::string> arguments{"serve", "--json", "--listen", "127.0.0.1:0"};
  const auto model = world.model_arguments();
  arguments.insert(arguments.end(), model.begin(), model.end());
  arguments.insert(arguments.end(), further.begin(), further.end());
  return world.start(std::move(arguments), "serve");
}

}  // namespace

Serving::Serving(const World& world, std::vector<std::string> further)
    : world_(world), process_(start_serving(world, std::move(further))) {}

FrontEnd Serving::connect() {
  std::string address;
  for (int i = 0; i < 1000 && address.empty(); ++i) {
    const auto json = parse_json(world_.folder().read("serve.out"));
    if (json && json->contains("listening")) address = string_or(*json, "listening", "");
    if (address.empty()) std::this_thread::sleep_for(10ms);
  }
  INFO(world_.folder().read("serve.err"));
  REQUIRE_FALSE(address.empty());
  const auto token = world_.folder().read("home/token");
  return {address.substr(address.rfind(':') + 1), token.substr(0, token.find('\n'))};
}

void Serving::kill() {
  REQUIRE(process_.signal(SIGKILL));
  CHECK(world_.finish(process_, "serve", 5s).signal == SIGKILL);
}

Finished Serving::stop() {
  REQUIRE(process_.signal(SIGTERM));
  return world_.finish(process_, "serve", 5s);
}

}  // namespace sable::test
