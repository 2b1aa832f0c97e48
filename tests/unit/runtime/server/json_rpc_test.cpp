#include "runtime/server/json_rpc.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::runtime;
using Kind = RpcMessage::Kind;

TEST_CASE("requests, notifications, results and errors are told apart") {
  const auto request = parse_rpc(R"({"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1}})");
  REQUIRE(request);
  CHECK(request->kind == Kind::request);
  CHECK(request->id == 7);
  CHECK(request->method == "m");
  CHECK(request->params["a"] == 1);
  const auto named = parse_rpc(R"({"jsonrpc":"2.0","id":"x","method":"m"})");
  REQUIRE(named);
  CHECK(named->id == "x");
  CHECK(named->params == Json::object());
  CHECK(parse_rpc(R"({"jsonrpc":"2.0","method":"m"})")->kind == Kind::notification);
  CHECK(parse_rpc(R"({"jsonrpc":"2.0","id":1,"result":null})")->kind == Kind::result);
  CHECK(parse_rpc(R"({"jsonrpc":"2.0","id":1,"error":{"code":1}})")->kind == Kind::error);
}

TEST_CASE("what is no message is refused with its code, under its id when it has one") {
  struct Example {
    const char* text;
    int code;
    const char* id;
  };
  const auto example = GENERATE(
      Example{"", -32700, "null"}, Example{"{", -32700, "null"}, Example{"\xff", -32700, "null"},
      Example{"{\"jsonrpc\":\"2.0\"}x", -32700, "null"}, Example{"[]", -32600, "null"},
      Example{R"([{"jsonrpc":"2.0","id":1,"method":"m"}])", -32600, "null"},
      Example{"1", -32600, "null"}, Example{"null", -32600, "null"}, Example{"{}", -32600, "null"},
      Example{R"({"id":1,"method":"m"})", -32600, "1"},
      Example{R"({"jsonrpc":"1.0","id":1,"method":"m"})", -32600, "1"},
      Example{R"({"jsonrpc":2.0,"id":"a","method":"m"})", -32600, "\"a\""},
      Example{R"({"jsonrpc":"2.0","id":1})", -32600, "1"},
      Example{R"({"jsonrpc":"2.0","id":1,"result":1,"error":{}})", -32600, "1"},
      Example{R"({"jsonrpc":"2.0","id":null,"method":"m"})", -32600, "null"},
      Example{R"({"jsonrpc":"2.0","id":1.5,"method":"m"})", -32600, "null"},
      Example{R"({"jsonrpc":"2.0","id":{},"method":"m"})", -32600, "null"},
      Example{R"({"jsonrpc":"2.0","id":1,"method":5})", -32600, "1"},
      Example{R"({"jsonrpc":"2.0","id":1,"method":"m","params":[1]})", -32602, "1"},
      Example{R"({"jsonrpc":"2.0","id":1,"method":"m","params":null})", -32602, "1"});
  INFO(example.text);
  const auto message = parse_rpc(example.text);
  REQUIRE_FALSE(message);
  CHECK(static_cast<int>(message.error().error.code) == example.code);
  CHECK(dump_json(message.error().id) == example.id);
  const auto shown = parse_json(rpc_error(message.error().id, message.error().error));
  REQUIRE(shown);
  CHECK((*shown)["error"]["code"] == example.code);
}

TEST_CASE("deep nesting and long ids are refused") {
  CHECK_FALSE(parse_rpc(std::string(100'000, '[')));
  CHECK_FALSE(parse_rpc(R"({"jsonrpc":"2.0","method":"m","id":")" + std::string(257, 'x') + "\"}"));
}

TEST_CASE("no bytes bring the message parser down") {
  CHECK(rc::check([] {
    const auto bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
    const auto message = parse_rpc(bytes);
    RC_ASSERT(message.has_value() || message.error().error.code != RpcCode::internal_error);
  }));
  CHECK(rc::check([] {  // messages with one byte changed
    std::string text = R"({"jsonrpc":"2.0","id":12,"method":"session/new","params":{"cwd":"/a"}})";
    text[*rc::gen::inRange<size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
    const auto message = parse_rpc(text);
    if (!message) RC_ASSERT(!rpc_error(message.error().id, message.error().error).empty());
  }));
}
