// A client of the protocol without a socket: messages in, messages out, on a loop of its own.
#pragma once

#include <vector>

#include <catch2/catch.hpp>

#include "runtime/server/acp.h"
#include "tests/support/scripted_session_host.h"

namespace sable::test {

/// What the clients of one test share.
struct ProtocolServer {
  explicit ProtocolServer(std::chrono::milliseconds permission_limit = std::chrono::seconds(60))
      : sessions(host, loop.get_executor(), {permission_limit}, Log::none()) {}
  ~ProtocolServer() {
    asio::co_spawn(loop, sessions.stop("the test is over"), [](const std::exception_ptr&) {});
    run();
  }

  /// Until nothing more happens by itself.
  void run() {
    loop.restart();
    loop.poll();
  }

  asio::io_context loop;
  ScriptedSessionHost host;
  runtime::LiveSessions sessions;
};

class ProtocolClient {
 public:
  explicit ProtocolClient(ProtocolServer& server, size_t outbox_bytes = 1 << 20,
                          bool initialized = true)
      : server_(server),
        outbox(server.loop.get_executor(), outbox_bytes),
        connection(server.sessions, outbox, server.loop.get_executor(), {"1.2.3"}, Log::none()) {
    if (initialized) call("initialize", {{"protocolVersion", 1}});
  }
  ~ProtocolClient() {
    asio::co_spawn(server_.loop, connection.close(), [](const std::exception_ptr&) {});
    server_.run();
  }

  /// Sends without running the loop.
  int send(std::string_view method, Json params) {
    if (params.is_null()) params = Json::object();  // a bare {} in a test
    connection.receive(runtime::rpc_request(++last_id_, method, std::move(params)));
    return last_id_;
  }
  void notify(std::string_view method, Json params) {
    if (params.is_null()) params = Json::object();
    connection.receive(runtime::rpc_notification(method, std::move(params)));
    server_.run();
  }
  void answer(const Json& id, Json result) {
    connection.receive(runtime::rpc_result(id, std::move(result)));
    server_.run();
  }

  /// Takes what has been sent to the client.
  std::vector<Json> take() {
    server_.run();
    std::vector<Json> messages;
    while (auto text = outbox.pop()) {
      messages.push_back(parse_json(*text).value());
      server_.run();
    }
    return messages;
  }

  /// Sends and returns the answer; what came with it is in `others`.
  Json call(std::string_view method, Json params) {
    const int id = send(method, std::move(params));
    return answer_to(id);
  }

  Json answer_to(int id) {
    others.clear();
    Json found;
    for (auto& message : take()) {
      const bool is_it =
          message.contains("id") && message["id"] == id && !message.contains("method");
      if (is_it) {
        REQUIRE(found.is_null());
        found = message;
      } else {
        others.push_back(message);
      }
    }
    return found;
  }

  std::string new_session() {
    const Json answer = call("session/new", {{"cwd", "/repo"}, {"mcpServers", Json::array()}});
    REQUIRE(answer.contains("result"));
    return answer["result"]["sessionId"];
  }

  int prompt(const std::string& session, const std::string& text = "go") {
    return send("session/prompt", {{"sessionId", session},
                                   {"prompt", Json::array({{{"type", "text"}, {"text", text}}})}});
  }

  /// The `update` objects among messages.
  static std::vector<Json> updates(const std::vector<Json>& messages) {
    std::vector<Json> found;
    for (const auto& message : messages) {
      if (message.value("method", "") == "session/update")
        found.push_back(message["params"]["update"]);
    }
    return found;
  }

  static std::vector<Json> of_method(const std::vector<Json>& messages, const std::string& method) {
    std::vector<Json> found;
    for (const auto& message : messages) {
      if (message.value("method", "") == method) found.push_back(message);
    }
    return found;
  }

 private:
  ProtocolServer& server_;
  int last_id_ = 0;

 public:
  std::vector<Json> others;
  runtime::Outbox outbox;
  runtime::AcpConnection connection;
};

}  // namespace sable::test
