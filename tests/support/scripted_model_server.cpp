#include "tests/support/scripted_model_server.h"

#include <atomic>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <thread>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "base/asio.h"
#include "base/file.h"
#include "base/task_group.h"
#include "base/text.h"
#include "tests/support/scripted_model_wire.h"

namespace sable::test {

namespace {

namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using HttpRequest = http::request<http::string_body>;

/// `bytes` is borrowed: what is awaited has a name.
asio::awaitable<bool> write(tcp::socket& socket, const std::string& bytes) {
  error_code error;
  co_await asio::async_write(socket, asio::buffer(bytes),
                             asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

std::string in_chunk(const std::string& bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string plain_answer(unsigned status, std::string_view type, std::string_view body,
                         std::string_view more_headers = "") {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}",
      status, std::string_view(http::obsolete_reason(static_cast<http::status>(status))), type,
      body.size(), more_headers, body);
}

std::string error_answer(unsigned status, const std::string& message,
                         std::string_view more_headers = "") {
  const Json body{{"error", {{"message", message}, {"type", "scripted"}}}};
  return plain_answer(status, "application/json", dump_json(body), more_headers);
}

/// Waits until the client has gone, reading on.
asio::awaitable<void> hang(tcp::socket& socket) {
  char buffer[256];
  error_code error;
  while (!error) {
    co_await socket.async_read_some(asio::buffer(buffer),
                                    asio::redirect_error(asio::use_awaitable, error));
  }
}

std::string text_of(const Json& content) {
  return content.is_string() ? content.get<std::string>() : dump_json(content);
}

/// The first way in which the request is not what the script expects; empty when it is.
std::string mismatch(const Json& expect, const Json& body, const std::string& body_text,
                     const std::string& authorization) {
  const Json messages = body.value("messages", Json::array());
  const Json last = messages.empty() ? Json::object() : messages.back();
  const auto wants = [&](const char* key) { return expect.contains(key); };
  if (wants("n_messages") && expect["n_messages"] != messages.size()) {
    return fmt::format("expected {} messages, got {}", dump_json(expect["n_messages"]),
                       messages.size());
  }
  if (wants("last_role") && expect["last_role"] != last.value("role", "")) {
    return fmt::format("expected the last role {}, got {}", dump_json(expect["last_role"]),
                       last.value("role", "none"));
  }
  if (wants("model") && expect["model"] != body.value("model", Json())) {
    return fmt::format("expected the model {}", dump_json(expect["model"]));
  }
  if (wants("authorization") && expect["authorization"] != authorization) {
    return "the Authorization header is not the expected one";
  }
  const auto texts = [&](const char* key) { return expect.value(key, Json::array()); };
  const std::string last_text = text_of(last.value("content", Json("")));
  for (const auto& text : texts("last_contains")) {
    if (last_text.find(text.get<std::string>()) == std::string::npos) {
      return fmt::format("the last message lacks {}: {}", dump_json(text),
                         last_text.substr(0, utf8_prefix(last_text, 500)));
    }
  }
  for (const auto& text : texts("contains")) {
    if (body_text.find(text.get<std::string>()) == std::string::npos) {
      return fmt::format("the request lacks {}", dump_json(text));
    }
  }
  for (const auto& text : texts("lacks")) {
    if (body_text.find(text.get<std::string>()) != std::string::npos) {
      return fmt::format("the request must not contain {}", dump_json(text));
    }
  }
  for (const auto& name : texts("tools")) {
    bool offered = false;
    for (const auto& tool : body.value("tools", Json::array())) {
      offered = offered || tool.value("/function/name"_json_pointer, Json()) == name;
    }
    if (!offered) return fmt::format("the tool {} is not offered", dump_json(name));
  }
  return {};
}

}  // namespace

struct ScriptedModelServer::State {
  State(Script what, Options how)
      : script(std::move(what)),
        options(std::move(how)),
        acceptor(loop),
        connections(loop.get_executor()) {}

  Script script;
  Options options;
  asio::io_context loop;
  tcp::acceptor acceptor;
  uint16_t port = 0;
  UniqueFd record;
  TaskGroup connections;
  std::thread thread;

  // Shared with the threads of the test.
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::vector<Json> requests;
  std::vector<std::string> complaints;
  size_t n_taken = 0;
  size_t n_finished = 0;

  void complain(std::string text) {
    const std::lock_guard lock(mutex);
    complaints.push_back(std::move(text));
  }

  static asio::awaitable<void> serve(State& self) {
    while (true) {
      error_code error;
      tcp::socket socket =
          co_await self.acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
      self.connections.spawn(converse(self, std::move(socket)));
    }
    self.connections.cancel();
    co_await self.connections.join();
  }

  static asio::awaitable<void> converse(State& self, tcp::socket socket) {
    boost::beast::flat_buffer buffer;
    http::request_parser<http::string_body> parser;
    parser.body_limit(size_t{256} << 20);
    error_code error;
    socket.set_option(tcp::no_delay(true), error);
    co_await http::async_read(socket, buffer, parser,
                              asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    const HttpRequest request = parser.release();
    co_await self.answer(socket, request);
    socket.shutdown(tcp::socket::shutdown_send, error);
  }

  void keep(const HttpRequest& request, const Result<Json>& body) {
    Json entry{{"method", std::string(request.method_string())},
               {"path", std::string(request.target())},
               {"authorization", std::string(request[http::field::authorization])},
               {"body", body ? *body : Json(to_utf8(request.body()))}};
    if (record) {
      const auto written = write_all(record.get(), dump_json(entry) + "\n");
      if (!written) complain("cannot record: " + written.error().message);
    }
    const std::lock_guard lock(mutex);
    requests.push_back(std::move(entry));
  }

  asio::awaitable<void> answer(tcp::socket& socket, const HttpRequest& request) {
    const auto body = parse_json(request.body());
    keep(request, body);
    if (request.method() != http::verb::post || request.target() != "/v1/chat/completions") {
      complain(fmt::format("unexpected {} {}", std::string(request.method_string()),
                           std::string(request.target())));
      const std::string refusal = error_answer(404, "no such path");
      co_await write(socket, refusal);
      co_return;
    }
    size_t number = 0;
    {
      const std::lock_guard lock(mutex);
      number = ++n_taken;
    }
    const bool beyond = number > script.replies.size();
    if (beyond && (!script.repeat_last || script.replies.empty())) {
      complain(fmt::format("request {} comes after the script's end", number));
      const std::string refusal = error_answer(400, "the script is over");
      co_await write(socket, refusal);
      co_return;
    }
    const Json reply = script.replies[beyond ? script.replies.size() - 1 : number - 1].json;
    if (!body) {
      complain("the request's body is not JSON: " + body.error().message);
      const std::string refusal = error_answer(400, "the body is not JSON");
      co_await write(socket, refusal);
    } else {
      co_await play(socket, reply, number, *body, request);
    }
    const std::lock_guard lock(mutex);
    ++n_finished;
    changed.notify_all();
  }

  asio::awaitable<void> play(tcp::socket& socket, const Json& reply, size_t number,
                             const Json& body, const HttpRequest& request) {
    if (reply.contains("expect")) {
      const auto wrong = mismatch(reply["expect"], body, request.body(),
                                  std::string(request[http::field::authorization]));
      if (!wrong.empty()) {
        complain(fmt::format("request {}: {}", number, wrong));
        const std::string refusal = error_answer(400, "scripted expectation failed: " + wrong);
        co_await write(socket, refusal);
        co_return;
      }
    }
    if (reply.contains("wait_for")) {
      while (!std::filesystem::exists(reply["wait_for"].get<std::string>())) {
        co_await sleep_for(std::chrono::milliseconds(10));
      }
    }
    co_await pause(reply.value("first_delay_ms", 0));
    const std::string fault = string_or(reply, "fault", "");
    const std::string message = string_or(reply, "message", "scripted fault");
    const std::string model = string_or(body, "model", "scripted");
    if (fault == "refuse") {
      error_code ignored;
      socket.close(ignored);
    } else if (fault == "hang") {
      co_await hang(socket);
    } else if (const std::string whole = unstreamed(reply, fault, message, number, model);
               !whole.empty()) {
      co_await write(socket, whole);
    } else {
      const auto events = broken(stream_events(reply, number, model), fault, message);
      co_await stream(socket, reply, fault, events);
    }
  }

  /// An answer that comes in one piece; empty when the reply is to be streamed.
  static std::string unstreamed(const Json& reply, const std::string& fault,
                                const std::string& message, size_t number,
                                const std::string& model) {
    if (fault == "status") {
      const auto after = string_or(reply, "retry_after", "");
      const auto header = after.empty() ? std::string() : "Retry-After: " + after + "\r\n";
      return error_answer(reply.value("status", 500u), message, header);
    }
    if (fault == "not_sse") {
      return plain_answer(200, "text/html", "<html>Sign in to continue</html>");
    }
    if (reply.contains("stream") && reply["stream"] == Json(false)) {
      return plain_answer(200, "application/json", whole_answer(reply, number, model));
    }
    return {};
  }

  asio::awaitable<void> pause(int ms) {
    if (ms > 0) co_await sleep_for(std::chrono::milliseconds(ms));
  }

  /// The events as the fault leaves them.
  static std::vector<std::string> broken(std::vector<std::string> events, const std::string& fault,
                                         const std::string& message) {
    const bool half = fault == "half_stream" || fault == "disconnect" || fault == "hang_half" ||
                      fault == "error_event";
    const size_t middle = events.size() / 2;
    if (half) events.resize(middle);
    if (fault == "no_done") events.pop_back();
    if (fault == "no_finish") {
      const auto finish = std::find_if(events.begin(), events.end(), [](const std::string& one) {
        return one.find("\"finish_reason\":\"") != std::string::npos;
      });
      events.erase(finish, events.end());
    }
    if (fault == "invalid_json") {
      for (size_t i = middle; i + 1 < events.size(); ++i) events[i].insert(6, "{,");
    }
    if (fault == "error_event") {
      events.push_back("data: " + dump_json({{"error", {{"message", message}}}}) + "\n\n");
    }
    return events;
  }

  asio::awaitable<void> stream(tcp::socket& socket, const Json& reply, const std::string& fault,
                               const std::vector<std::string>& events) {
    const std::string head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    const std::string end = "0\r\n\r\n";
    bool going = co_await write(socket, head);
    for (const auto& piece : cut(events, reply.value("piece_bytes", size_t{0}))) {
      if (!going) co_return;
      co_await pause(reply.value("delay_ms", 0));
      const std::string bytes = in_chunk(piece);
      going = co_await write(socket, bytes);
    }
    if (fault == "hang_half") {
      co_await hang(socket);
    } else if (fault != "disconnect") {
      co_await write(socket, end);
    }
  }
};

ScriptedModelServer::ScriptedModelServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ScriptedModelServer>> ScriptedModelServer::start(Script script) {
  return start(std::move(script), Options{});
}

Result<std::unique_ptr<ScriptedModelServer>> ScriptedModelServer::start(Script script,
                                                                        Options options) {
  auto state = std::make_unique<State>(std::move(script), std::move(options));
  if (!state->options.record.empty()) {
    state->record = UniqueFd(
        ::open(state->options.record.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!state->record) return fail_errno(state->options.record.string(), errno);
  }
  error_code error;
  const tcp::endpoint address(asio::ip::address_v4::loopback(), state->options.port);
  state->acceptor.open(address.protocol(), error);
  if (!error) state->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) state->acceptor.bind(address, error);
  if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(ErrorCode::io, fmt::format("cannot listen on 127.0.0.1: {}", error.message()));
  }
  state->port = state->acceptor.local_endpoint().port();
  asio::co_spawn(state->loop, State::serve(*state), [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  state->thread = std::thread([loop = &state->loop] { loop->run(); });
  return std::unique_ptr<ScriptedModelServer>(new ScriptedModelServer(std::move(state)));
}

ScriptedModelServer::~ScriptedModelServer() {
  asio::post(state_->loop, [state = state_.get()] {
    error_code ignored;
    state->acceptor.close(ignored);
  });
  state_->thread.join();
}

uint16_t ScriptedModelServer::port() const { return state_->port; }

std::string ScriptedModelServer::base_url() const {
  return fmt::format("http://127.0.0.1:{}/v1", state_->port);
}

std::vector<Json> ScriptedModelServer::requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->requests;
}

std::vector<std::string> ScriptedModelServer::complaints() const {
  const std::lock_guard lock(state_->mutex);
  return state_->complaints;
}

bool ScriptedModelServer::over() const { return wait_until_over(std::chrono::milliseconds(0)); }

bool ScriptedModelServer::wait_until_over(std::chrono::milliseconds limit) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, limit, [this] {
    return !state_->script.repeat_last && state_->n_finished >= state_->script.replies.size();
  });
}

}  // namespace sable::test
