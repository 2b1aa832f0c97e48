#include "runtime/net/url.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::runtime;

TEST_CASE("a URL is taken apart into host, port and target") {
  struct Example {
    const char* text;
    bool tls;
    const char* host;
    uint16_t port;
    const char* target;
    const char* host_header;
  };
  const auto example = GENERATE(
      Example{"http://localhost", false, "localhost", 80, "/", "localhost"},
      Example{"https://API.Example.com/v1", true, "api.example.com", 443, "/v1", "api.example.com"},
      Example{"HTTP://a:8080/b?c=d/e", false, "a", 8080, "/b?c=d/e", "a:8080"},
      Example{"https://a?x=%20", true, "a", 443, "/?x=%20", "a"},
      Example{"https://a:443/", true, "a", 443, "/", "a"},
      Example{"http://a:443/", false, "a", 443, "/", "a:443"},
      Example{"http://127.0.0.1:9/", false, "127.0.0.1", 9, "/", "127.0.0.1:9"},
      Example{"http://[::1]:9/x", false, "::1", 9, "/x", "[::1]:9"},
      Example{"https://[2001:DB8::1]", true, "2001:db8::1", 443, "/", "[2001:db8::1]"},
      Example{"http://example.com./", false, "example.com.", 80, "/", "example.com."});
  INFO(example.text);
  const auto url = parse_url(example.text);
  REQUIRE(url);
  CHECK(url->tls == example.tls);
  CHECK(url->host == example.host);
  CHECK(url->port == example.port);
  CHECK(url->target == example.target);
  CHECK(url->host_header() == example.host_header);
}

TEST_CASE("a URL that is unclear or could carry something else is refused") {
  const std::string text = GENERATE(
      as<std::string>(), "", "localhost", "ftp://a/", "http:/a", "http://", "http:///x",
      "https://:80/", "http://user@a/", "http://user:key@a/", "http://a@b@c/", "http://a/#f",
      "http://a b/", "http://a/b c", "http://a/\r\nX: y", "http://a/\xc3\xa9", "http://\xc3\xa9/",
      "http://a:0/", "http://a:65536/", "http://a:/", "http://a:+80/", "http://a:8o/",
      "http://a:80:80/", "http://[::1/", "http://[::1]x/", "http://[fe80::1%25eth0]/",
      "http://[127.0.0.1]/", "http://[]/", "http://::1/", "http://-a/", "http://a-/",
      "http://a..b/", "http://.a/", "http://a\\b/", "http://a/%2", "http://a/%zz", "http://a/<x>",
      "http://127.1/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://2130706433/",
      "http://1.2.3.4.5/", "http://256.0.0.1/", "http://127.0.0.0x1/");
  INFO(text);
  const auto url = parse_url(text);
  REQUIRE_FALSE(url);
  CHECK(url.error().code == ErrorCode::invalid_input);
}

TEST_CASE("the key inside a refused URL is not repeated") {
  const auto url = parse_url("https://user:sk-secret@host/v1");
  REQUIRE_FALSE(url);
  CHECK(url.error().message.find("sk-secret") == std::string::npos);
}

TEST_CASE("a label over 63 bytes, a host over 253 and a URL over 8192 are refused") {
  CHECK(parse_url("http://" + std::string(63, 'a') + "/"));
  CHECK_FALSE(parse_url("http://" + std::string(64, 'a') + "/"));
  std::string host;
  for (int i = 0; i < 127; ++i) host += "a.";
  CHECK_FALSE(parse_url("http://" + host + "/"));
  CHECK_FALSE(parse_url("http://a/" + std::string(8192, 'x')));
}

TEST_CASE("whatever the bytes, an accepted URL holds nothing that could split a request") {
  CHECK(rc::check([] {
    const auto tail = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
    const auto url = parse_url("http://" + tail);
    if (!url) return;
    for (const std::string& part : {url->host, url->target}) {
      RC_ASSERT(!part.empty());
      for (const char c : part) RC_ASSERT(c > ' ' && c <= '~');
    }
    RC_ASSERT(url->target.front() == '/');
    RC_ASSERT(url->port != 0);
  }));
}
