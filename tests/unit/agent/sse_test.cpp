#include "agent/openai/sse.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;
using agent::SseParser;

namespace {

std::vector<std::string> parse(std::string_view stream, size_t piece_size) {
  SseParser parser;
  std::vector<std::string> events;
  for (size_t at = 0; at < stream.size(); at += piece_size) {
    REQUIRE(parser.feed(stream.substr(at, piece_size), [&](std::string_view data) -> Result<void> {
      events.emplace_back(data);
      return {};
    }));
  }
  return events;
}

}  // namespace

TEST_CASE("events are found wherever the stream is cut, with any line ending") {
  const std::string stream =
      ": comment\r\ndata: one\r\n\r\nevent: x\ndata:two\ndata:  2b\n\nid: 7\rdata: three\r\r\n\n";
  for (size_t size = 1; size <= stream.size(); ++size) {
    INFO(size);
    CHECK(parse(stream, size) == std::vector<std::string>{"one", "two\n 2b", "three"});
  }
}

TEST_CASE("an event that never ends is refused before it fills memory") {
  SseParser parser(1000);
  const std::string piece(600, 'x');
  const auto ignore = [](std::string_view) -> Result<void> { return {}; };
  CHECK(parser.feed("data: " + piece, ignore));
  const auto more = parser.feed(piece, ignore);
  REQUIRE_FALSE(more);
  CHECK(more.error().code == ErrorCode::corrupt);
}

TEST_CASE("what the consumer refuses ends the feed") {
  SseParser parser;
  const auto fed = parser.feed("data: a\n\ndata: b\n\n", [](std::string_view data) -> Result<void> {
    if (data == "b") return fail(ErrorCode::io, "no");
    return {};
  });
  REQUIRE_FALSE(fed);
  CHECK(fed.error().message == "no");
}

TEST_CASE("cutting the stream differently never changes the events") {
  rc::prop("any bytes", [](const std::string& bytes) {
    RC_ASSERT(parse(bytes, 1) == parse(bytes, bytes.size() + 1));
  });
}
