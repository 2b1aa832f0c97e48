// The registry's door for tools of other sources.
#include <catch2/catch.hpp>

#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
using namespace sable::tools;
using sable::contains;

namespace {

Definition remote(std::string name) {
  return {.name = std::move(name),
          .description = "Says hello.",
          .parameters = parse_json(R"({"type": "object", "properties": {"to": {"type": "string"}},
                                       "required": ["to"]})")
                            .value(),
          .approval = Approval::ask,
          .effect = Effect::none,
          .source = "server greetings"};
}

asio::awaitable<Result<Outcome>> greet(Call call, CallContext context) {
  Outcome outcome{.text = "hello " + call.arguments["to"].get<std::string>() + " of " +
                          context.workspace.root().filename().string() + "\xff"};
  co_return outcome;
}

std::string refusal(const Definition& definition, CallHandler handler = greet) {
  auto registry = Registry::with_builtins();
  const auto added = registry.add(definition, std::move(handler));
  REQUIRE_FALSE(added);
  CHECK(added.error().code == ErrorCode::invalid_input);
  CHECK(registry.list().size() == Registry::with_builtins().list().size());
  return added.error().message;
}

}  // namespace

TEST_CASE("a tool of another source is listed, checked, asked about and run like any other") {
  test::ToolFixture at;
  REQUIRE(at.registry.add(remote("greet"), greet));
  const auto* definition = at.registry.find("greet");
  REQUIRE(definition != nullptr);
  CHECK(definition->source == "server greetings");
  CHECK(at.registry.list().back() == definition);
  CHECK(at.registry.approval_for({.id = "1", .name = "greet", .arguments = Json::object()}) ==
        Approval::ask);
  const auto greeted = at.call("greet", {{"to", "you"}});
  CHECK(greeted.ok);
  CHECK(greeted.text == "hello you of " + at.folder.path().filename().string() + "\xef\xbf\xbd");
  const auto wrong = at.call("greet", {{"to", 1}});
  CHECK_FALSE(wrong.ok);
  CHECK(contains(wrong.text, "/to"));
  REQUIRE(at.registry.set_approval("greet", Approval::deny));
  CHECK(at.registry.keep_only({"greet"}));
  CHECK(at.registry.list().size() == 1);
}

TEST_CASE("a tool that another source describes badly is refused, and the source is named") {
  CHECK(contains(refusal(remote("read_file")), "there is already one of this name (built-in)"));
  for (const char* name : {"", "with space", "a/b", "caf\xc3\xa9"}) {
    CHECK(contains(refusal(remote(name)), "server greetings: the tool \""));
  }
  CHECK(contains(refusal(remote(std::string(65, 'a'))), "1 to 64"));
  CHECK(contains(refusal(remote("x"), {}), "nothing runs it"));
  auto nameless = remote("x");
  nameless.source.clear();
  CHECK(contains(refusal(nameless), "where it comes from"));
  auto odd = remote("x");
  odd.parameters = Json::array();
  CHECK(contains(refusal(odd), "no schema"));
  odd.parameters = {{"$ref", "https://example.org/schema"}};
  CHECK_FALSE(refusal(odd).empty());
  odd.parameters = {{"type", "wrong"}};
  CHECK_FALSE(refusal(odd).empty());
}
