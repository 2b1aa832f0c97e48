// Names, addresses and request heads: one reading, or a refusal.
#include "sandbox/host_name.h"

#include <random>

#include <catch2/catch.hpp>

#include "sandbox/address_rules.h"
#include "sandbox/proxy_request.h"

using namespace sable;
using namespace sable::sandbox;

TEST_CASE("a name has one form") {
  CHECK(*canonical_host("Example.ORG.") == "example.org");
  CHECK(*canonical_host("a_b.x-y.org") == "a_b.x-y.org");
  CHECK(*canonical_host("192.0.2.1") == "192.0.2.1");
  CHECK(*canonical_host("2001:DB8:0:0::1") == "2001:db8::1");
}

TEST_CASE("what could be read in two ways is no name") {
  for (const std::string text : {"",
                                 ".",
                                 "a..b",
                                 "a.b..",
                                 "-a.org",
                                 "a-.org",
                                 "a b.org",
                                 "a/b",
                                 "a@b",
                                 "a%00.org",
                                 "0177.0.0.1",
                                 "127.1",
                                 "2130706433",
                                 "0x7f000001",
                                 "0x7f.0.0.1",
                                 "1.2.3.4.5",
                                 "256.1.1.1",
                                 "a.1",
                                 "a.0x7f",
                                 "::ffff:1.2.3.4:80:::",
                                 "fe80::1%eth0",
                                 "\xc3\xa9.org",
                                 "a\n.org"}) {
    INFO(text);
    CHECK_FALSE(canonical_host(text));
  }
  CHECK_FALSE(canonical_host(std::string("a\0b", 3)));
  CHECK_FALSE(canonical_host(std::string("::1\0", 4)));
  CHECK_FALSE(canonical_host(std::string(64, 'a') + ".org"));
  CHECK_FALSE(canonical_host(std::string(254, 'a')));
}

TEST_CASE("rules name a host, everything below one, or an address, on one port") {
  const auto rule = [](const char* text) { return *parse_allowed_host(text); };
  CHECK(rule("Example.org") == AllowedHost{.name = "example.org", .port = 443});
  CHECK(rule("*.example.org:8080/private") ==
        AllowedHost{.name = "*.example.org", .port = 8080, .private_addresses = true});
  CHECK(rule("[::1]:80") == AllowedHost{.name = "::1", .port = 80});
  for (const char* text : {"", "*", "*.", "a.org:", "a.org:0", "a.org:65536", "a.org:80x", "[::1",
                           "[::1]x", "http://a.org", "a.org/x", "a*.org"}) {
    INFO(text);
    CHECK_FALSE(parse_allowed_host(text));
  }
  const std::vector<AllowedHost> rules = {rule("a.org"), rule("*.b.org:80")};
  CHECK(rule_for(rules, {"a.org", 443}) == &rules[0]);
  CHECK(rule_for(rules, {"x.y.b.org", 80}) == &rules[1]);
  CHECK(rule_for(rules, {"a.org", 80}) == nullptr);
  CHECK(rule_for(rules, {"b.org", 80}) == nullptr);
  CHECK(rule_for(rules, {"xb.org", 80}) == nullptr);
  CHECK(rule_for(rules, {"x.a.org", 443}) == nullptr);
  CHECK(rule_for({}, {"a.org", 443}) == nullptr);
}

TEST_CASE("an address is judged by what it reaches, however it is written") {
  const auto kind = [](const char* text) { return kind_of(boost::asio::ip::make_address(text)); };
  CHECK(kind("93.184.216.34") == AddressKind::global);
  CHECK(kind("2606:4700::1") == AddressKind::global);
  for (const char* text : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
                           "2002:7f00:1::1", "::127.0.0.1"}) {
    INFO(text);
    CHECK(kind(text) == AddressKind::loopback);
  }
  for (const char* text : {"169.254.169.254", "fe80::1", "fd00:ec2::254", "168.63.129.16",
                           "100.100.100.200", "::ffff:169.254.169.254"}) {
    INFO(text);
    CHECK(kind(text) == AddressKind::link_local);
  }
  for (const char* text : {"10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fc00::1",
                           "fd12::1", "2002:a00:1::"}) {
    INFO(text);
    CHECK(kind(text) == AddressKind::private_use);
  }
  for (const char* text : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "240.0.0.1",
                           "2001:db8::1", "2001::1", "198.18.0.1", "192.0.2.1"}) {
    INFO(text);
    CHECK(kind(text) == AddressKind::special);
  }
}

TEST_CASE("a request to a proxy is read in one way only") {
  const auto tunnel = parse_proxy_request("CONNECT Example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(tunnel);
  CHECK(tunnel->tunnel);
  CHECK(tunnel->to == Authority{"example.org", 443});
  const auto plain = parse_proxy_request(
      "GET http://a.org:8080/x?y HTTP/1.1\r\nhost: evil.org\r\nProxy-Authorization: Basic x\r\n"
      "Accept: */*\r\nConnection: keep-alive\r\n\r\n");
  REQUIRE(plain);
  CHECK(plain->to == Authority{"a.org", 8080});
  CHECK(plain->head ==
        "GET /x?y HTTP/1.1\r\nHost: a.org:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  for (const std::string text :
       {"", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET http://a.org/ HTTP/2\r\n\r\n",
        "GET  http://a.org/ HTTP/1.1\r\n\r\n", "GET http://a@b.org/ HTTP/1.1\r\n\r\n",
        "GET https://a.org/ HTTP/1.1\r\n\r\n", "CONNECT a.org HTTP/1.1\r\n\r\n",
        "CONNECT a.org:443 HTTP/1.1\n\n", "CONNECT a.org:443 HTTP/1.1\r\nX : y\r\n\r\n",
        "CONNECT a.org:443 HTTP/1.1\r\n folded\r\n\r\n", "CONNECT a.org:443 HTTP/1.1\r\n",
        "GET http://a.org\\@b.org/ HTTP/1.1\r\n\r\n",
        "GET http://a.org/ HTTP/1.1\r\nA: b\rHost: c\r\n\r\n",
        "GET http://a.org/ HTTP/1.1\r\nA: b\nHost: c\r\n\r\n"}) {
    INFO(text);
    CHECK_FALSE(parse_proxy_request(text));
  }
}

TEST_CASE("damaged requests are refused or mean an allowed form, and never break the parser") {
  const std::string good = "GET http://a.org:8080/x HTTP/1.1\r\nHost: a.org\r\nAccept: */*\r\n\r\n";
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    const auto request = parse_proxy_request(text);
    if (!request) continue;
    CHECK(*canonical_host(request->to.host) == request->to.host);
    CHECK(request->head.find('\0') == std::string::npos);
  }
}
