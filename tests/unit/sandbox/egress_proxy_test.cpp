// The proxy on loopback, with a resolver of the test's own; and inside a real sandbox.
#include "sandbox/egress_proxy.h"

#include <arpa/inet.h>
#include <map>
#include <sys/socket.h>
#include <thread>

#include <boost/asio/ip/tcp.hpp>
#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using namespace std::chrono_literals;
using sable::test::SandboxRunner;
using sable::test::SessionRunner;
using tcp = asio::ip::tcp;

namespace {

UniqueFd listen_on_loopback(uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  REQUIRE(::listen(fd.get(), 16) == 0);
  port = ntohs(address.sin_port);
  return fd;
}

// Answers every connection with what it was sent, after a greeting line.
class EchoServer {
 public:
  explicit EchoServer(asio::io_context& loop) : acceptor_(loop) {
    uint16_t port = 0;
    UniqueFd fd = listen_on_loopback(port);
    port_ = port;
    acceptor_.assign(tcp::v4(), fd.release());
    asio::co_spawn(loop, accept(), [](const std::exception_ptr&) {});
  }
  uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }
  void close() { acceptor_.close(); }

 private:
  asio::awaitable<void> accept() {
    boost::system::error_code error;
    while (acceptor_.is_open()) {
      tcp::socket peer =
          co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      ++accepted_;
      asio::co_spawn(acceptor_.get_executor(), echo(std::move(peer)),
                     [](const std::exception_ptr&) {});
    }
  }
  static asio::awaitable<void> echo(tcp::socket peer) {
    std::array<char, 1024> buffer;
    boost::system::error_code error;
    while (true) {
      const size_t n = co_await peer.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      co_await asio::async_write(peer, asio::buffer(buffer.data(), n),
                                 asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
    }
  }

  tcp::acceptor acceptor_;
  uint16_t port_ = 0;
  int accepted_ = 0;
};

struct Names {
  std::map<std::string, std::vector<std::string>> answers;
  std::vector<std::string> asked;
};

asio::awaitable<Result<Addresses>> answer(Names& names, std::string host) {
  names.asked.push_back(host);
  Addresses addresses;
  for (const auto& text : names.answers[host]) addresses.push_back(asio::ip::make_address(text));
  co_return addresses;
}

// Sends `request` (and `more` once answered), and reads until the other side is done or `until`
// came.
asio::awaitable<std::string> ask(uint16_t port, std::string request, std::string until,
                                 std::string more = "") {
  tcp::socket socket(co_await asio::this_coro::executor);
  boost::system::error_code error;
  const tcp::endpoint place(asio::ip::address_v4::loopback(), port);
  co_await socket.async_connect(place, asio::redirect_error(asio::use_awaitable, error));
  co_await asio::async_write(socket, asio::buffer(request),
                             asio::redirect_error(asio::use_awaitable, error));
  std::string all;
  std::array<char, 1024> buffer;
  while (!error) {
    const size_t n = co_await socket.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    all.append(buffer.data(), n);
    if (!more.empty()) {
      co_await asio::async_write(socket, asio::buffer(more),
                                 asio::redirect_error(asio::use_awaitable, error));
      more.clear();
    }
    if (!until.empty() && all.find(until) != std::string::npos) break;
  }
  co_return all;
}

struct Fixture {
  asio::io_context loop;
  EchoServer server{loop};
  Names names;
  uint16_t port = 0;
  std::unique_ptr<EgressProxy> proxy;

  void open(std::vector<AllowedHost> rules, ProxyLimits limits = {}) {
    UniqueFd listener = listen_on_loopback(port);
    Resolve resolve = [this](std::string host) { return answer(names, std::move(host)); };
    proxy = std::make_unique<EgressProxy>(loop.get_executor(), std::move(listener),
                                          std::move(rules), std::move(resolve), limits);
    proxy->start();
  }

  std::string talk(std::string request, std::string until = "", std::string more = "") {
    std::optional<std::string> answered;
    asio::co_spawn(loop, ask(port, std::move(request), std::move(until), std::move(more)),
                   [&](const std::exception_ptr&, std::string text) { answered = text; });
    while (!answered && loop.run_one_for(20s) > 0) {
    }
    REQUIRE(answered);
    return *answered;
  }

  std::string server_port() const { return std::to_string(server.port()); }

  ~Fixture() {
    bool stopped = false;
    asio::co_spawn(loop, proxy->stop(), [&](const std::exception_ptr&) { stopped = true; });
    while (!stopped) loop.run_one();
    server.close();
    loop.run();
  }
};

}  // namespace

TEST_CASE("an allowed name is looked up, dialed and tunnelled to; the decision is written down") {
  Fixture f;
  f.names.answers["good.test"] = {"127.0.0.1"};
  f.open({{.name = "good.test", .port = f.server.port(), .private_addresses = true}});
  const std::string text =
      f.talk("CONNECT Good.test.:" + f.server_port() + " HTTP/1.1\r\n\r\n", "ping", "ping");
  CHECK(text == "HTTP/1.1 200 Connection established\r\n\r\nping");
  const auto decisions = f.proxy->take_decisions();
  REQUIRE(decisions.size() == 1);
  CHECK(decisions[0].allowed);
  CHECK(decisions[0].host == "good.test");
  CHECK(decisions[0].address == "127.0.0.1");
  CHECK(decisions[0].bytes_sent == 4);
  CHECK(decisions[0].bytes_received == 4);
  CHECK(f.names.asked == std::vector<std::string>{"good.test"});
}

TEST_CASE("plain HTTP goes on without what is the proxy's, and with the right host") {
  Fixture f;
  f.names.answers["good.test"] = {"127.0.0.1"};
  f.open({{.name = "good.test", .port = f.server.port(), .private_addresses = true}});
  const std::string head = "POST http://good.test:" + f.server_port() +
                           "/x HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 4\r\n\r\nbody";
  CHECK(f.talk(head, "body") == "POST /x HTTP/1.1\r\nHost: good.test:" + f.server_port() +
                                    "\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
}

TEST_CASE("a name that is not on the list is refused before anybody is asked for it") {
  Fixture f;
  f.open({{.name = "good.test", .port = 443}});
  for (const char* target : {"evil.test:443", "good.test:80", "secret-data.evil.test:443",
                             "xgood.test:443", "127.0.0.1:443", "[::1]:443"}) {
    const std::string text = f.talk("CONNECT " + std::string(target) + " HTTP/1.1\r\n\r\n");
    CHECK_THAT(text, Catch::StartsWith("HTTP/1.1 403 Forbidden\r\n") &&
                         Catch::Contains("is not allowed on port"));
  }
  CHECK(f.names.asked.empty());
  CHECK(f.proxy->take_decisions().size() == 6);
}

TEST_CASE("an empty list lets nobody through") {
  Fixture f;
  f.open({});
  CHECK_THAT(f.talk("CONNECT good.test:443 HTTP/1.1\r\n\r\n"), Catch::Contains("403"));
}

TEST_CASE("an allowed name that leads inside is refused, whatever its other answers are") {
  Fixture f;
  f.open({{.name = "good.test", .port = f.server.port()},
          {.name = "inner.test", .port = f.server.port(), .private_addresses = true}});
  for (const char* address : {"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1",
                              "::ffff:169.254.169.254", "fe80::1", "0.0.0.0"}) {
    f.names.answers["good.test"] = {address};
    const std::string text = f.talk("CONNECT good.test:" + f.server_port() + " HTTP/1.1\r\n\r\n");
    INFO(address);
    CHECK_THAT(text, Catch::StartsWith("HTTP/1.1 403"));
  }
  // What a rule grants does not reach metadata services.
  f.names.answers["inner.test"] = {"169.254.169.254"};
  CHECK_THAT(f.talk("CONNECT inner.test:" + f.server_port() + " HTTP/1.1\r\n\r\n"),
             Catch::Contains("403") && Catch::Contains("metadata"));
  CHECK(f.server.accepted() == 0);
  CHECK(f.names.asked.size() == 8);  // once each: the address judged is the address dialed
}

TEST_CASE("nonsense gets 400, and an endless head is cut off") {
  Fixture f;
  f.open({{.name = "good.test"}});
  CHECK_THAT(f.talk("GET / HTTP/1.1\r\n\r\n"), Catch::StartsWith("HTTP/1.1 400"));
  CHECK_THAT(f.talk("CONNECT good.test:443 HTTP/1.1\r\nX: " + std::string(20'000, 'x')),
             Catch::StartsWith("HTTP/1.1 400") || Catch::Equals(""));
}

TEST_CASE("silent connections are closed, and more than the limit wait instead of taking memory") {
  Fixture f;
  f.names.answers["good.test"] = {"127.0.0.1"};
  f.open({{.name = "good.test", .port = f.server.port(), .private_addresses = true}},
         {.connections = 2, .head = 300ms});
  // Two that say nothing hold both places until they are closed; the third is served then.
  std::vector<tcp::socket> silent;
  for (int i = 0; i < 2; ++i) {
    silent.emplace_back(f.loop).connect({asio::ip::address_v4::loopback(), f.port});
  }
  const std::string text =
      f.talk("CONNECT good.test:" + f.server_port() + " HTTP/1.1\r\n\r\n", "ping", "ping");
  CHECK_THAT(text, Catch::EndsWith("ping"));
}

TEST_CASE("in a sandbox an allowed host is reached through the proxy, and nothing else is") {
  asio::io_context host_loop;
  EchoServer server(host_loop);
  std::thread serving([&] { host_loop.run(); });
  SandboxRunner runner;
  const std::string port = std::to_string(server.port());
  const Policy policy{
      .network = Network::allow,
      .allowed_hosts = {{.name = "127.0.0.1", .port = server.port(), .private_addresses = true}}};
  const std::string script =
      "import os, socket, sys\n"
      "def ask(target):\n"
      "  s = socket.create_connection(('127.0.0.1', 808))\n"
      "  s.sendall(b'CONNECT ' + target + b' HTTP/1.1\\r\\n\\r\\n')\n"
      "  return s, s.recv(1000).split(b' ')[1]\n"
      "s, status = ask(b'127.0.0.1:" +
      port +
      "')\n"
      "s.sendall(b'ping'); print(status, s.recv(4), flush=True)\n"
      "print(ask(b'example.org:443')[1], ask(b'169.254.169.254:80')[1])\n"
      "for place in (('127.0.0.1', " +
      port +
      "), ('192.0.2.1', 80)):\n"
      "  try: socket.create_connection(place, 2); print('direct')\n"
      "  except OSError as e: print(e.errno)\n"
      "try: socket.create_server(('127.0.0.1', 808))\n"
      "except OSError as e: print(e.errno)\n"
      "print(os.environ['https_proxy'])\n";
  const std::string expected =
      "b'200' b'ping'\nb'403' b'403'\n111\n101\n13\nhttp://127.0.0.1:808\n";
  const auto fresh = runner.run({"/usr/bin/python3", "-c", script}, policy);
  INFO(fresh.errors);
  CHECK(fresh.output == expected);
  REQUIRE(fresh.result);
  REQUIRE(fresh.result->network_decisions.size() == 3);
  CHECK(fresh.result->network_decisions[0].allowed);
  CHECK_FALSE(fresh.result->network_decisions[1].allowed);
  CHECK(fresh.result->network_decisions[2].host == "169.254.169.254");
  {
    SessionRunner session(runner, policy);
    for (int i = 0; i < 2; ++i) {
      const auto outcome = session.run({"/usr/bin/python3", "-c", script});
      CHECK(outcome.output == expected);
      REQUIRE(outcome.result);
      CHECK(outcome.result->network_decisions.size() == 3);
    }
  }
  host_loop.stop();
  serving.join();
}
