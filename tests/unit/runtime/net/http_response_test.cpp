#include "runtime/net/http_response.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::runtime;

namespace {

constexpr size_t kHeaderMax = 4096;

struct Parsed {
  Result<void> result;
  int status = 0;
  size_t n_headers = 0;
  std::string body;
  bool done = false;
};

/// Feeds `bytes` in pieces of `piece` and then the end of the stream.
Parsed parse(std::string_view bytes, size_t piece, bool head_request = false) {
  Parsed parsed;
  HttpResponseParser parser(
      [&](const agent::HttpHead& head, std::string_view part) -> Result<void> {
        CHECK(head.status != 0);
        parsed.body += part;
        return {};
      },
      kHeaderMax, head_request);
  while (!bytes.empty() && parsed.result && !parser.done()) {
    parsed.result = parser.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (parsed.result && !parser.done()) parsed.result = parser.feed_end();
  parsed.done = parser.done();
  if (parser.has_head()) {
    parsed.status = parser.head().status;
    parsed.n_headers = parser.head().headers.size();
  }
  return parsed;
}

}  // namespace

TEST_CASE("every way of ending a body gives the same body, however the bytes are cut") {
  const size_t piece = GENERATE(1u, 2u, 3u, 7u, 1000u);
  const std::string text =
      GENERATE(as<std::string>(), "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
               "world\r\n0\r\n\r\n",
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\nX: "
               "trailer\r\n\r\n",
               "HTTP/1.1 200 OK\r\n\r\nhello world", "HTTP/1.0 200 OK\r\n\r\nhello world",
               "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
               "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world");
  INFO(text);
  const auto parsed = parse(text, piece);
  REQUIRE(parsed.result);
  CHECK(parsed.status == 200);
  CHECK(parsed.body == "hello world");
  CHECK(parsed.n_headers <= 1);
}

TEST_CASE("an answer without a body is done at its head") {
  CHECK(parse("HTTP/1.1 204 No Content\r\n\r\n", 3).done);
  CHECK(parse("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 3).done);
  CHECK(parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 3, true).done);
}

TEST_CASE("an answer that is malformed, cut off or too large is corrupt") {
  const std::string text = GENERATE(
      as<std::string>(), "", "garbage\r\n\r\n", "HTTP/1.1 200 OK",
      "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!!0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", "HTTP/1.1 99999 OK\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n", "\x16\x03\x01\x02",
      "HTTP/1.1 200 OK\r\nX: " + std::string(2 * kHeaderMax, 'x') + "\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(200'000, 'x'));
  const size_t piece = GENERATE(1u, 5000u);
  INFO(text.substr(0, 100));
  const auto parsed = parse(text, piece);
  REQUIRE_FALSE(parsed.result);
  CHECK(parsed.result.error().code == ErrorCode::corrupt);
  CHECK_FALSE(parsed.done);
}

TEST_CASE("more than sixteen interim answers are refused") {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "HTTP/1.1 100 Continue\r\n\r\n";
  CHECK_FALSE(parse(text, 100).result);
}

TEST_CASE("the sink's error ends the parsing with that error") {
  HttpResponseParser parser(
      [](const agent::HttpHead&, std::string_view) -> Result<void> {
        return fail(ErrorCode::exhausted, "enough");
      },
      kHeaderMax, false);
  const auto result = parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  REQUIRE_FALSE(result);
  CHECK(result.error() == Error{ErrorCode::exhausted, "enough"});
}

TEST_CASE("no bytes bring the response parser down") {
  CHECK(rc::check([] {
    const auto tail = *rc::gen::container<std::string>(rc::gen::oneOf(
        rc::gen::arbitrary<char>(), rc::gen::element('\r', '\n', ':', '0', 'a', ';')));
    const bool chunked = *rc::gen::arbitrary<bool>();
    const auto piece = *rc::gen::inRange<size_t>(1, 40);
    parse(std::string("HTTP/1.1 200 OK\r\n") +
              (chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "") + tail,
          piece);
    parse(tail, piece);
  }));
}
