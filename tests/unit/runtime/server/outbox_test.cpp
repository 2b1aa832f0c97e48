#include "runtime/server/outbox.h"

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::runtime;

namespace {

Outbox::Preview preview(std::string key, std::string text, bool replaces = false) {
  return {.key = std::move(key),
          .message = {{"p", nullptr}},
          .slot = Json::json_pointer("/p/text"),
          .text = std::move(text),
          .replaces = replaces};
}

std::vector<std::string> all(Outbox& outbox) {
  std::vector<std::string> messages;
  while (auto message = outbox.pop()) messages.push_back(*message);
  return messages;
}

}  // namespace

TEST_CASE("messages come out in order; previews of one stream are merged until taken") {
  asio::io_context loop;
  Outbox outbox(loop.get_executor(), 10'000);
  outbox.push("a");
  CHECK(outbox.push_preview(preview("x", "1")));
  CHECK(outbox.push_preview(preview("x", "2")));
  CHECK(outbox.push_preview(preview("y", "3")));
  CHECK(outbox.push_preview(preview("x", "4")));
  outbox.push("b");
  CHECK(outbox.push_preview(preview("o", "5")));
  CHECK(outbox.push_preview(preview("o", "6", true)));
  CHECK(outbox.push_preview(preview("", "7")));
  CHECK(outbox.push_preview(preview("", "8")));
  CHECK(all(outbox) == std::vector<std::string>{"a", R"({"p":{"text":"12"}})",
                                                R"({"p":{"text":"3"}})", R"({"p":{"text":"4"}})",
                                                "b", R"({"p":{"text":"6"}})",
                                                R"({"p":{"text":"7"}})", R"({"p":{"text":"8"}})"});
  CHECK(outbox.bytes() == 0);
}

TEST_CASE("over its limit previews are dropped, messages are not, and at four times it overflows") {
  asio::io_context loop;
  Outbox outbox(loop.get_executor(), 10'000);
  CHECK(outbox.has_room());
  outbox.push(std::string(6'000, 'x'));
  CHECK_FALSE(outbox.has_room());
  CHECK(outbox.push_preview(preview("x", "1")));
  outbox.push(std::string(6'000, 'x'));
  CHECK_FALSE(outbox.push_preview(preview("x", "2")));
  CHECK_FALSE(outbox.overflowed());
  for (int i = 0; i < 5; ++i) outbox.push(std::string(6'000, 'x'));
  CHECK(outbox.overflowed());
  CHECK(all(outbox).size() == 8);
  CHECK(outbox.has_room());
}

TEST_CASE("whoever waits for room or for a message is woken by it, and by a request to close") {
  asio::io_context loop;
  Outbox outbox(loop.get_executor(), 10'000);
  int n_woken = 0;
  const auto count = [&](const std::exception_ptr&) { ++n_woken; };
  asio::co_spawn(loop, outbox.wait_for_message(), count);
  loop.poll();
  CHECK(n_woken == 0);
  outbox.push(std::string(6'000, 'x'));
  loop.restart();
  loop.poll();
  CHECK(n_woken == 1);
  asio::co_spawn(loop, outbox.wait_for_room(), count);
  loop.restart();
  loop.poll();
  CHECK(n_woken == 1);
  outbox.pop();
  loop.restart();
  loop.poll();
  CHECK(n_woken == 2);
  asio::co_spawn(loop, outbox.wait_for_message(), count);
  loop.restart();
  loop.poll();
  CHECK(n_woken == 2);
  outbox.request_close({4429, "first"});
  outbox.request_close({1000, "second"});
  loop.restart();
  loop.poll();
  CHECK(n_woken == 3);
  CHECK(outbox.closing()->code == 4429);
}
