#include "runtime/server/handshake.h"

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::runtime;

namespace {

const AccessRules kRules{.token = "secret-secret-secret",
                         .allowed_hosts = {"sable.example"},
                         .allowed_origins = {"https://app.example"}};

RequestFacts good() {
  return {.method = "GET",
          .path = "/acp",
          .host = "127.0.0.1:80",
          .authorization = "Bearer secret-secret-secret",
          .is_upgrade = true,
          .websocket_version = "13"};
}

}  // namespace

TEST_CASE("a native client with the token is upgraded") {
  CHECK(decide(good(), kRules).status == 101);
  CHECK(decide(good(), kRules).subprotocol.empty());
}

TEST_CASE("a browser shows its origin and the token as a subprotocol, and gets sable.v1 back") {
  auto request = good();
  request.authorization.clear();
  request.origin = "https://app.example";
  request.subprotocols = {"sable.v1", "bearer.secret-secret-secret"};
  const auto verdict = decide(request, kRules);
  CHECK(verdict.status == 101);
  CHECK(verdict.subprotocol == "sable.v1");
}

TEST_CASE("the Host must be loopback or configured") {
  for (const char* host : {"localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:65535", "[::1]",
                           "[::1]:80", "sable.example", "Sable.Example:443"}) {
    INFO(host);
    auto request = good();
    request.host = host;
    CHECK(decide(request, kRules).status == 101);
  }
  for (const char* host :
       {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil@localhost",
        "localhost:", "localhost:80:80", "localhost:x", "localhost:65536", "[::1", "[::1]x", "::1",
        "[::2]", "0.0.0.0", "192.168.0.1", "127.1", "127.0.0.1 "}) {
    INFO(host);
    auto request = good();
    request.host = host;
    CHECK(decide(request, kRules).status == 403);
  }
}

TEST_CASE("an Origin must be on the list, exactly, whatever else is right") {
  for (const char* origin :
       {"", "null", "https://evil.example", "http://app.example", "https://app.example:1",
        "https://app.example/", "https://app.example.evil.example", "http://localhost"}) {
    INFO(origin);
    auto request = good();
    request.origin = origin;
    CHECK(decide(request, kRules).status == 403);
    request.path = "/healthz";
    CHECK(decide(request, kRules).status == 403);
  }
}

TEST_CASE("without the exact token there is no upgrade, with or without an origin") {
  for (const char* shown :
       {"", "Bearer", "Bearer ", "Bearer secret", "Bearer secret-secret-secret ",
        "Bearer secret-secret-secretx", "Basic secret-secret-secret", "secret-secret-secret",
        "Bearer  secret-secret-secret", "Bearer SECRET-SECRET-SECRET"}) {
    INFO(shown);
    auto request = good();
    request.authorization = shown;
    CHECK(decide(request, kRules).status == 401);
    request.origin = "https://app.example";
    CHECK(decide(request, kRules).status == 401);
  }
  auto request = good();
  request.authorization.clear();
  request.subprotocols = {"bearer.",
                          "bearer.secret-secret-secret"};  // the first one offered counts
  CHECK(decide(request, kRules).status == 401);
}

TEST_CASE("the order of refusals gives nothing away: Host, path, method, Origin, token, upgrade") {
  auto request = good();
  request.is_upgrade = false;
  CHECK(decide(request, kRules).status == 426);
  request = good();
  request.websocket_version = "8";
  CHECK(decide(request, kRules).status == 426);
  request.authorization.clear();
  CHECK(decide(request, kRules).status == 401);
  request.origin = "https://evil.example";
  CHECK(decide(request, kRules).status == 403);
  request.method = "POST";
  CHECK(decide(request, kRules).status == 405);
  request.path = "/";
  CHECK(decide(request, kRules).status == 404);
  request.host = "evil.example";
  CHECK(decide(request, kRules).status == 403);
}

TEST_CASE("healthz needs no token") {
  RequestFacts request{.method = "GET", .path = "/healthz", .host = "localhost"};
  CHECK(decide(request, kRules).status == 200);
}

TEST_CASE("a server without a token lets nobody in") {
  auto request = good();
  request.authorization = "Bearer ";
  CHECK(decide(request, {}).status == 401);
}

TEST_CASE("listen addresses are read strictly") {
  CHECK(parse_listen_address("127.0.0.1:80")->port == 80);
  CHECK(parse_listen_address("[::1]:80")->address == "::1");
  CHECK(parse_listen_address(":8080")->address == "127.0.0.1");
  CHECK(parse_listen_address("localhost:0")->address == "127.0.0.1");
  CHECK(parse_listen_address("0.0.0.0")->port == 0);
  for (const char* text :
       {"127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "host:80", "[::1", "[::1]x",
        "[::1]:", "::1:80", "127.0.0.1:80:80", "127.0.0.1: 80", "[127.0.0.1x]:1"}) {
    INFO(text);
    CHECK_FALSE(parse_listen_address(text));
  }
}
