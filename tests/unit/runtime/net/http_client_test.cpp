#include "runtime/net/http_client.h"

#include <catch2/catch.hpp>

#include "base/task_group.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/runtime/net/local_endpoint.h"
#include "tests/unit/runtime/net/test_certificate.h"

using namespace sable;
using namespace sable::runtime;
using sable::test::LocalEndpoint;
using sable::test::Play;
using std::chrono::milliseconds;

namespace {

struct Outcome {
  std::optional<Result<agent::HttpHead>> result;
  std::string body;
  size_t n_pieces = 0;
};

asio::awaitable<void> exchange(HttpClient& client, agent::HttpRequest request, Outcome& outcome) {
  auto sink = [&outcome](const agent::HttpHead&, std::string_view piece) -> Result<void> {
    outcome.body += piece;
    ++outcome.n_pieces;
    return {};
  };
  outcome.result = co_await client.exchange(std::move(request), std::move(sink));
}

agent::HttpRequest request_to(std::string url) {
  agent::HttpRequest request;
  request.url = std::move(url);
  request.body = "{}";
  request.connect_timeout = milliseconds(5000);
  request.idle_timeout = milliseconds(5000);
  return request;
}

/// A loop with a client; runs one exchange to its end.
struct Client {
  explicit Client(HttpClientOptions options = {}) : http(HttpClient::create(std::move(options))) {
    REQUIRE(http);
  }

  Outcome run(agent::HttpRequest request) {
    Outcome outcome;
    bool over = false;
    asio::co_spawn(loop, exchange(**http, std::move(request), outcome),
                   [&](const std::exception_ptr& failure) {
                     CHECK(failure == nullptr);
                     over = true;
                   });
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!over && std::chrono::steady_clock::now() < give_up) {
      loop.restart();
      loop.run_one_for(milliseconds(100));
    }
    REQUIRE(over);
    return outcome;
  }

  asio::io_context loop;
  Result<std::unique_ptr<HttpClient>> http;
};

const char* const kHello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";

void check_fails(const Outcome& outcome, ErrorCode code, std::string_view words) {
  REQUIRE(outcome.result);
  REQUIRE_FALSE(*outcome.result);
  const auto& error = outcome.result->error();
  INFO(error.message);
  CHECK(name_of(error.code) == name_of(code));
  CHECK(error.message.find(words) != std::string::npos);
}

}  // namespace

TEST_CASE("an exchange sends the request whole and returns head and body") {
  Client client;
  LocalEndpoint endpoint(client.loop, {.steps = {{kHello}}});
  auto request = request_to(endpoint.url("/v1/x?y=z"));
  request.headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer k"}};
  const auto outcome = client.run(request);
  REQUIRE(*outcome.result);
  CHECK((*outcome.result)->status == 200);
  CHECK((*outcome.result)->header("x-a") == "b");
  CHECK(outcome.body == "hello");
  CHECK(endpoint.request().starts_with(
      "POST /v1/x?y=z HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(endpoint.port()) + "\r\n"));
  CHECK(endpoint.request().find("Authorization: Bearer k\r\n") != std::string::npos);
  CHECK(endpoint.request().find("Content-Length: 2\r\n") != std::string::npos);
}

TEST_CASE("pieces are handed out as they come, not at the end") {
  Client client;
  LocalEndpoint endpoint(
      client.loop, {.steps = {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
                              {"3\r\ndef\r\n", milliseconds(20)},
                              {"0\r\n\r\n", milliseconds(20)}}});
  const auto outcome = client.run(request_to(endpoint.url()));
  REQUIRE(*outcome.result);
  CHECK(outcome.body == "abcdef");
  CHECK(outcome.n_pieces >= 2);
}

TEST_CASE("IPv6 literals and host names are reached") {
  Client client;
  SECTION("[::1]") {
    LocalEndpoint endpoint(client.loop, {.steps = {{kHello}}}, true);
    CHECK(*client.run(request_to(endpoint.url())).result);
    CHECK(endpoint.request().find("Host: [::1]:") != std::string::npos);
  }
  SECTION("localhost") {
    LocalEndpoint endpoint(client.loop, {.steps = {{kHello}}});
    const auto url = "http://localhost:" + std::to_string(endpoint.port()) + "/";
    CHECK(*client.run(request_to(url)).result);
  }
}

TEST_CASE("a redirect is an answer like any other: it is not followed") {
  Client client;
  LocalEndpoint endpoint(client.loop,
                         {.steps = {{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                                     "Content-Length: 0\r\n\r\n"}}});
  const auto outcome = client.run(request_to(endpoint.url()));
  REQUIRE(*outcome.result);
  CHECK((*outcome.result)->status == 302);
}

TEST_CASE("an answer that breaks off is corrupt, wherever it breaks") {
  Client client;
  const std::string whole =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  const size_t n = GENERATE_COPY(size_t{0}, size_t{5}, size_t{17}, size_t{50}, whole.size() - 1);
  LocalEndpoint endpoint(client.loop, {.steps = {{whole.substr(0, n)}}});
  check_fails(client.run(request_to(endpoint.url())), ErrorCode::corrupt, "answer");
}

TEST_CASE("a connection that is reset is an error, not a short body") {
  Client client;
  LocalEndpoint endpoint(client.loop,
                         {.steps = {{"HTTP/1.1 200 OK\r\n\r\nhalf"}}, .reset_at_end = true});
  check_fails(client.run(request_to(endpoint.url())), ErrorCode::io, "127.0.0.1");
}

TEST_CASE("garbage, endless headers and a TLS answer to a plain request are corrupt") {
  Client client;
  const std::string bytes =
      GENERATE(as<std::string>(), "\x15\x03\x03\x00\x02\x02\x28", "SSH-2.0-x\r\n\r\n",
               "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'));
  LocalEndpoint endpoint(client.loop, {.steps = {{bytes}}});
  check_fails(client.run(request_to(endpoint.url())), ErrorCode::corrupt, "answer");
}

TEST_CASE(
    "a silent endpoint is given up after the idle timeout, at whatever point it falls silent") {
  Client client;
  const std::string bytes = GENERATE(as<std::string>(), "", "HTTP/1.1 200",
                                     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel");
  LocalEndpoint endpoint(client.loop, {.steps = {{bytes}}, .hang_at_end = true});
  auto request = request_to(endpoint.url());
  request.idle_timeout = milliseconds(50);
  check_fails(client.run(request), ErrorCode::timed_out, "127.0.0.1");
}

TEST_CASE("a slow endpoint is not a silent one: each piece starts the idle time anew") {
  Client client;
  std::vector<Play::Step> steps{{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"}};
  for (int i = 0; i < 6; ++i) steps.push_back({"x", milliseconds(40)});
  LocalEndpoint endpoint(client.loop, {.steps = steps});
  auto request = request_to(endpoint.url());
  request.idle_timeout = milliseconds(150);
  const auto outcome = client.run(request);
  REQUIRE(*outcome.result);
  CHECK(outcome.body == "xxxxxx");
}

TEST_CASE("a port where nobody listens and a host that does not exist are io errors that say so") {
  Client client;
  uint16_t port = 0;
  {
    LocalEndpoint gone(client.loop, {});
    port = gone.port();
  }
  check_fails(client.run(request_to("http://127.0.0.1:" + std::to_string(port))), ErrorCode::io,
              "cannot connect to 127.0.0.1");
  check_fails(client.run(request_to("http://no-such-host.invalid/")), ErrorCode::io,
              "cannot look up no-such-host.invalid");
}

TEST_CASE("an answer that comes before the request was read whole still counts") {
  Client client;
  LocalEndpoint endpoint(
      client.loop,
      {.steps = {{"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"}}, .hang_at_end = true});
  auto request = request_to(endpoint.url());
  request.body.assign(1 << 20, 'x');
  const auto outcome = client.run(request);
  REQUIRE(*outcome.result);
  CHECK((*outcome.result)->status == 413);
}

TEST_CASE("requests that could smuggle a header are refused before anything is sent") {
  Client client;
  LocalEndpoint endpoint(client.loop, {.steps = {{kHello}}});
  auto request = request_to(endpoint.url());
  SECTION("line break in a value") { request.headers = {{"Authorization", "Bearer sk-1\r\nX: y"}}; }
  SECTION("trailing newline of a key file") {
    request.headers = {{"Authorization", "Bearer sk-1\n"}};
  }
  SECTION("name that is no token") { request.headers = {{"A B", "c"}}; }
  SECTION("framing headers") { request.headers = {{"Transfer-encoding", "chunked"}}; }
  SECTION("Host") { request.headers = {{"host", "other"}}; }
  SECTION("method") { request.method = "GET / HTTP/1.1\r\nX:"; }
  SECTION("user information") { request.url = "http://sk-1@127.0.0.1/"; }
  const auto outcome = client.run(request);
  check_fails(outcome, ErrorCode::invalid_input, "");
  CHECK(outcome.result->error().message.find("sk-1") == std::string::npos);
  CHECK(endpoint.request().empty());
}

TEST_CASE("cancelling the coroutine closes the connection at once") {
  Client client;
  const bool tls = GENERATE(false, true);
  const auto authority = test::make_authority();
  test::TemporaryFolder folder;
  Client trusting({.extra_ca_file = folder.write("ca.pem", authority.certificate_pem)});
  Play play{.steps = {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"}}, .hang_at_end = true};
  if (tls) play.tls = test::make_certificate(authority, "IP:127.0.0.1");
  LocalEndpoint endpoint(trusting.loop, play);
  Outcome outcome;
  asio::cancellation_signal stop;
  bool over = false;
  asio::co_spawn(
      trusting.loop, exchange(**trusting.http, request_to(endpoint.url()), outcome),
      asio::bind_cancellation_slot(stop.slot(), [&](const std::exception_ptr&) { over = true; }));
  while (outcome.body.empty()) trusting.loop.run_one_for(milliseconds(100));
  CHECK_FALSE(over);
  stop.emit(asio::cancellation_type::terminal);
  const auto start = std::chrono::steady_clock::now();
  while (!(over && endpoint.peer_gone()) &&
         std::chrono::steady_clock::now() < start + milliseconds(2000)) {
    trusting.loop.run_one_for(milliseconds(100));
  }
  CHECK(over);
  CHECK(endpoint.peer_gone());
  if (outcome.result) CHECK_FALSE(*outcome.result);
}

TEST_CASE("TLS: an endpoint whose certificate the given authority signed is accepted") {
  const auto authority = test::make_authority();
  test::TemporaryFolder folder;
  Client client({.extra_ca_file = folder.write("ca.pem", authority.certificate_pem)});
  SECTION("by address") {
    LocalEndpoint endpoint(client.loop, {.steps = {{kHello}},
                                         .tls = test::make_certificate(authority, "IP:127.0.0.1")});
    const auto outcome = client.run(request_to(endpoint.url()));
    REQUIRE(*outcome.result);
    CHECK(outcome.body == "hello");
  }
  SECTION("by name") {
    LocalEndpoint endpoint(
        client.loop,
        {.steps = {{kHello}}, .tls = test::make_certificate(authority, "DNS:localhost")});
    CHECK(*client.run(request_to("https://localhost:" + std::to_string(endpoint.port()))).result);
  }
}

TEST_CASE("TLS: a wrong certificate is denied, and the message says what is wrong") {
  const auto authority = test::make_authority();
  test::TemporaryFolder folder;
  Client client({.extra_ca_file = folder.write("ca.pem", authority.certificate_pem)});
  struct Example {
    test::Certificate certificate;
    const char* words;
  };
  Example example;
  SECTION("another host's name") {
    example = {test::make_certificate(authority, "DNS:example.com"), "for another host"};
  }
  SECTION("the right name, but we asked for an address") {
    example = {test::make_certificate(authority, "DNS:localhost"), "for another host"};
  }
  SECTION("an authority that nobody trusts") {
    example = {test::make_certificate(test::make_authority(), "IP:127.0.0.1"), "not trusted"};
  }
  SECTION("expired") {
    example = {test::make_certificate(authority, "IP:127.0.0.1", -1), "expired"};
  }
  SECTION("signed by itself") { example = {test::make_authority(), "not trusted"}; }
  SECTION("trusted, but it names no host") {
    example = {test::make_certificate(authority, "email:a@example.com"), "for another host"};
  }
  LocalEndpoint endpoint(client.loop, {.steps = {{kHello}}, .tls = example.certificate});
  const auto outcome = client.run(request_to(endpoint.url()));
  check_fails(outcome, ErrorCode::denied, example.words);
  CHECK(endpoint.request().empty());  // nothing was sent, least of all the key
}

TEST_CASE("TLS: without the extra authority a private endpoint is denied") {
  Client client;
  LocalEndpoint endpoint(
      client.loop,
      {.steps = {{kHello}}, .tls = test::make_certificate(test::make_authority(), "IP:127.0.0.1")});
  check_fails(client.run(request_to(endpoint.url())), ErrorCode::denied, "certificate authority");
}

TEST_CASE("TLS: a body that ends with the connection must end with TLS's closing message") {
  const auto authority = test::make_authority();
  test::TemporaryFolder folder;
  Client client({.extra_ca_file = folder.write("ca.pem", authority.certificate_pem)});
  const bool end_tls = GENERATE(true, false);
  LocalEndpoint endpoint(client.loop, {.steps = {{"HTTP/1.1 200 OK\r\n\r\nhello"}},
                                       .end_tls = end_tls,
                                       .tls = test::make_certificate(authority, "IP:127.0.0.1")});
  const auto outcome = client.run(request_to(endpoint.url()));
  if (end_tls) {
    REQUIRE(*outcome.result);
    CHECK(outcome.body == "hello");
  } else {
    check_fails(outcome, ErrorCode::corrupt, "without ending it");
  }
}

TEST_CASE("TLS: https to a server that speaks plain HTTP fails with a hint") {
  Client client;
  LocalEndpoint endpoint(client.loop, {.steps = {{kHello}}, .read_request = false});
  check_fails(client.run(request_to("https://127.0.0.1:" + std::to_string(endpoint.port()))),
              ErrorCode::io, "speaks https");
}

TEST_CASE("a CA file that is missing or holds no certificate is refused at the start") {
  test::TemporaryFolder folder;
  const auto missing = HttpClient::create({.extra_ca_file = folder / "none.pem"});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::not_found);
  const auto junk = HttpClient::create({.extra_ca_file = folder.write("junk.pem", "junk")});
  REQUIRE_FALSE(junk);
  CHECK(junk.error().code == ErrorCode::invalid_input);
}
