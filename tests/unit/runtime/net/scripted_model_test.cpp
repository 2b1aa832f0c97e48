#include <csignal>
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/child_process.h"
#include "base/file.h"
#include "base/text.h"
#include "runtime/net/http_client.h"
#include "tests/support/scripted_model_server.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using sable::test::Script;
using sable::test::ScriptedModelServer;
using std::chrono::milliseconds;

namespace {

struct Answer {
  Result<agent::HttpHead> head{fail(ErrorCode::io, "not run")};
  std::string body;
  std::vector<std::string> pieces;
};

asio::awaitable<void> exchange(runtime::HttpClient& client, agent::HttpRequest request,
                               Answer& answer) {
  auto sink = [&answer](const agent::HttpHead&, std::string_view piece) -> Result<void> {
    answer.body += piece;
    answer.pieces.emplace_back(piece);
    return {};
  };
  answer.head = co_await client.exchange(std::move(request), std::move(sink));
}

Answer ask(const std::string& base_url, const std::string& body,
           milliseconds idle = milliseconds(3000)) {
  asio::io_context loop;
  const auto client = runtime::HttpClient::create();
  REQUIRE(client);
  Answer answer;
  agent::HttpRequest request;
  request.url = base_url + "/chat/completions";
  request.headers = {{"Authorization", "Bearer k"}};
  request.body = body;
  request.idle_timeout = idle;
  asio::co_spawn(loop, exchange(**client, request, answer),
                 [](const std::exception_ptr& failure) { CHECK(failure == nullptr); });
  loop.run();
  return answer;
}

const char* const kRequest = R"({"model":"m","messages":[{"role":"user","content":"hello"}],
  "tools":[{"type":"function","function":{"name":"shell"}}]})";

std::unique_ptr<ScriptedModelServer> serve(const std::string& replies) {
  auto script = Script::parse("{\"replies\":[" + replies + "]}");
  REQUIRE(script);
  auto server = ScriptedModelServer::start(std::move(*script));
  REQUIRE(server);
  return std::move(*server);
}

/// The data of the events, parsed; [DONE] as null.
std::vector<Json> events_of(const std::string& body) {
  std::vector<Json> events;
  for (const auto line : split_lines(body)) {
    if (!line.starts_with("data: ")) continue;
    if (line == "data: [DONE]") {
      events.emplace_back(nullptr);
      continue;
    }
    const auto event = parse_json(line.substr(6));
    REQUIRE(event);
    events.push_back(*event);
  }
  return events;
}

}  // namespace

TEST_CASE(
    "a scripted reply is streamed with role, reasoning, text, calls, finish, usage and [DONE]") {
  const auto server = serve(R"({"reasoning":"think","text":"Grüße","delta_chars":2,
      "tool_calls":[{"name":"shell","arguments":{"command":"ls"}},{"name":"x","arguments":"{bro","id":null}]})");
  const auto answer = ask(server->base_url(), kRequest);
  REQUIRE(answer.head);
  CHECK(answer.head->status == 200);
  const auto events = events_of(answer.body);
  REQUIRE(events.size() > 6);
  std::string text, reasoning, first_arguments, second_arguments;
  for (const auto& event : events) {
    if (event.is_null() || event["choices"].empty()) continue;
    const auto& delta = event["choices"][0]["delta"];
    text += string_or(delta, "content", "");
    reasoning += string_or(delta, "reasoning_content", "");
    if (!delta.contains("tool_calls")) continue;
    const auto& call = delta["tool_calls"][0];
    (call["index"] == 0 ? first_arguments : second_arguments) +=
        call["function"]["arguments"].get<std::string>();
  }
  CHECK(text == "Grüße");
  CHECK(reasoning == "think");
  CHECK(first_arguments == R"({"command":"ls"})");
  CHECK(second_arguments == "{bro");
  CHECK(events[0]["choices"][0]["delta"]["role"] == "assistant");
  CHECK(events.back().is_null());
  CHECK(events[events.size() - 2]["usage"]["total_tokens"] == 110);
  CHECK(events[events.size() - 3]["choices"][0]["finish_reason"] == "tool_calls");
  CHECK(server->wait_until_over(std::chrono::seconds(10)));
  CHECK(server->complaints().empty());
  REQUIRE(server->requests().size() == 1);
  CHECK(server->requests()[0]["authorization"] == "Bearer k");
  CHECK(server->requests()[0]["body"]["messages"][0]["content"] == "hello");
}

TEST_CASE("pieces cut lines and UTF-8 sequences, and say the same") {
  const auto whole = serve(R"({"text":"äöü€😀"})");
  const auto pieces = serve(R"({"text":"äöü€😀","piece_bytes":3,"delay_ms":1})");
  const auto a = ask(whole->base_url(), kRequest);
  const auto b = ask(pieces->base_url(), kRequest);
  CHECK(a.body == b.body);
  CHECK(std::any_of(b.pieces.begin(), b.pieces.end(),
                    [](const auto& piece) { return !is_utf8(piece); }));
}

TEST_CASE("each fault looks on the wire as it is named") {
  const auto fault = [](const std::string& json) {
    const auto server = serve(json);
    return ask(server->base_url(), kRequest, milliseconds(100));
  };
  const std::string text = R"("text":"0123456789012345678901234567890123456789","delta_chars":1)";
  SECTION("status") {
    const auto answer =
        fault(R"({"fault":"status","status":429,"retry_after":"7","message":"slow down"})");
    REQUIRE(answer.head);
    CHECK(answer.head->status == 429);
    CHECK(answer.head->header("retry-after") == "7");
    CHECK(answer.body.find("slow down") != std::string::npos);
  }
  SECTION("refuse") { CHECK_FALSE(fault(R"({"fault":"refuse"})").head); }
  SECTION("hang") { CHECK(fault(R"({"fault":"hang"})").head.error().code == ErrorCode::timed_out); }
  SECTION("hang_half") {
    const auto answer = fault("{\"fault\":\"hang_half\"," + text + "}");
    CHECK(answer.head.error().code == ErrorCode::timed_out);
    CHECK_FALSE(answer.body.empty());
  }
  SECTION("half_stream") {
    const auto answer = fault("{\"fault\":\"half_stream\"," + text + "}");
    REQUIRE(answer.head);
    CHECK(answer.body.find("finish_reason\":\"") == std::string::npos);
    CHECK(events_of(answer.body).size() > 10);
  }
  SECTION("disconnect") {
    const auto answer = fault("{\"fault\":\"disconnect\"," + text + "}");
    REQUIRE_FALSE(answer.head);
    CHECK(answer.head.error().code == ErrorCode::corrupt);
  }
  SECTION("invalid_json") {
    const auto answer = fault("{\"fault\":\"invalid_json\"," + text + "}");
    CHECK(answer.body.find("data: {,{") != std::string::npos);
  }
  SECTION("no_done") {
    const auto events = events_of(fault("{\"fault\":\"no_done\"," + text + "}").body);
    CHECK_FALSE(events.back().is_null());
    CHECK(events.back().contains("usage"));
  }
  SECTION("no_finish") {
    const auto answer = fault("{\"fault\":\"no_finish\"," + text + "}");
    REQUIRE(answer.head);
    CHECK(answer.body.find("finish_reason\":\"") == std::string::npos);
  }
  SECTION("error_event") {
    const auto answer =
        fault("{\"fault\":\"error_event\",\"message\":\"out of memory\"," + text + "}");
    CHECK(events_of(answer.body).back()["error"]["message"] == "out of memory");
  }
  SECTION("not_sse") {
    const auto answer = fault(R"({"fault":"not_sse"})");
    CHECK(answer.head->header("content-type") == "text/html");
  }
  SECTION("no stream") {
    const auto answer = fault(R"({"stream":false,"text":"hi"})");
    CHECK(parse_json(answer.body).value()["choices"][0]["message"]["content"] == "hi");
  }
}

TEST_CASE("a request that is not what the script expects is answered with 400 and told") {
  const std::string expect = GENERATE(
      as<std::string>(), R"({"n_messages":2})", R"({"last_role":"tool"})",
      R"({"last_contains":["bye"]})", R"({"contains":["bye"]})", R"({"lacks":["hello"]})",
      R"({"tools":["edit_file"]})", R"({"authorization":"Bearer other"})", R"({"model":"other"})");
  INFO(expect);
  const auto server = serve("{\"text\":\"x\",\"expect\":" + expect + "}");
  const auto answer = ask(server->base_url(), kRequest);
  REQUIRE(answer.head);
  CHECK(answer.head->status == 400);
  CHECK(server->complaints().size() == 1);
}

TEST_CASE("a request that is what the script expects is answered") {
  const auto server = serve(R"({"text":"x","expect":{"n_messages":1,"last_role":"user","model":"m",
      "last_contains":["hell"],"contains":["tools"],"lacks":["bye"],"tools":["shell"],"authorization":"Bearer k"}})");
  CHECK(ask(server->base_url(), kRequest).head->status == 200);
  CHECK(server->complaints().empty());
  CHECK(ask(server->base_url(), kRequest).head->status == 400);  // beyond the script's end
  CHECK(server->complaints().size() == 1);
}

TEST_CASE("a script with a typing error is refused") {
  for (const char* text :
       {"", "[]", "{}", R"({"replies":[{"txt":"x"}]})", R"({"replies":[{"fault":"nap"}]})",
        R"({"replies":[{"expect":{"rol":"x"}}]})", R"({"replies":[{"text":1}]})",
        R"({"replies":[{"tool_calls":[{"nam":"x"}]}]})", R"({"replies":[{"piece_bytes":-1}]})"}) {
    INFO(text);
    CHECK_FALSE(Script::parse(text));
  }
}

TEST_CASE("the program prints its port, plays the script, records requests and ends") {
  test::TemporaryFolder folder;
  const auto script =
      folder.write("script.json", R"({"replies":[{"text":"a","expect":{"model":"m"}}]})");
  int out[2];
  int in[2];
  REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
  UniqueFd read_out(out[0]), write_out(out[1]), read_in(in[0]), write_in(in[1]);
  auto child =
      ChildProcess::start({.argv = {SABLE_BINARY_DIR "/scripted-model", "--script", script.string(),
                                    "--record", (folder / "record").string()},
                           .environment = {},
                           .stdin_fd = read_in.get(),
                           .stdout_fd = write_out.get()});
  REQUIRE(child);
  char line[64] = {};
  REQUIRE(::read(read_out.get(), line, sizeof line - 1) > 5);
  const std::string port = std::string(line).substr(5, std::string(line).find('\n') - 5);
  const auto base_url = "http://127.0.0.1:" + port + "/v1";
  int exit_code = 0;
  SECTION("when the script is over") { CHECK(ask(base_url, kRequest).head->status == 200); }
  SECTION("with status 1 when the request was not as expected") {
    CHECK(ask(base_url, R"({"model":"other"})").head->status == 400);
    exit_code = 1;
  }
  SECTION("when its standard input ends") {
    ::close(write_in.release());
    read_in.reset();
  }
  SECTION("on SIGTERM") { REQUIRE(child->signal(SIGTERM)); }
  const auto status = child->wait_for(milliseconds(3000));
  REQUIRE(status);
  CHECK(status->signal == 0);
  CHECK(status->exit_code == exit_code);
  if (exit_code == 0 && !folder.read("record").empty()) {
    CHECK(parse_json(folder.read("record")).value()["body"]["model"] == "m");
  }
}
