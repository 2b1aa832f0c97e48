// todo, ask_user and read_output: what they ask of their session, and what they do without one.
#include <catch2/catch.hpp>

#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
using namespace sable::tools;

namespace {

/// Remembers what it was asked for and answers what the test says.
class RecordingDoor final : public SessionDoor {
 public:
  asio::awaitable<Result<std::string>> ask(Question question) override {
    asked = std::move(question);
    co_return answer;
  }
  Result<std::string> change_tasks(const TaskUpdate& update) override {
    changed = update;
    return answer;
  }
  asio::awaitable<Result<std::string>> kept_output(std::string id) override {
    wanted = std::move(id);
    co_return answer;
  }

  Result<std::string> answer = std::string();
  Question asked;
  TaskUpdate changed;
  std::string wanted;
};

}  // namespace

TEST_CASE("a call by hand is told that it needs a session") {
  test::ToolFixture at;
  CHECK_FALSE(at.call("todo", Json::object()).ok);
  CHECK_FALSE(at.call("ask_user", {{"question", "why?"}}).ok);
  CHECK_FALSE(at.call("read_output", {{"output", "0123456789ab"}}).ok);
}

TEST_CASE("todo hands on what is given and nothing else, and shows the whole list") {
  test::ToolFixture at;
  RecordingDoor door;
  at.session = &door;
  door.answer = std::string("# Goal\n");
  const auto outcome = at.call(
      "todo", {{"goal", "ship"},
               {"items", Json::array({{{"id", "1"}, {"text", "build"}, {"status", "active"}},
                                      {{"id", "1.1"}, {"parent", "1"}, {"evidence", ""}}})},
               {"decision", {{"text", "use C++"}, {"reason", "it is"}}}});
  CHECK(outcome.text == "# Goal\n");
  CHECK(door.changed.goal == "ship");
  CHECK_FALSE(door.changed.note.has_value());
  REQUIRE(door.changed.items.size() == 2);
  CHECK(door.changed.items[0].status == "active");
  CHECK_FALSE(door.changed.items[0].evidence.has_value());
  CHECK(door.changed.items[1].evidence == "");
  CHECK_FALSE(door.changed.items[1].text.has_value());
  REQUIRE(door.changed.decision.has_value());
  CHECK(door.changed.decision->reason == "it is");
  door.answer = fail(ErrorCode::invalid_input, "there is no todo \"9\"");
  const auto refused = at.call("todo", {{"items", Json::array({{{"id", "9"}}})}});
  CHECK_FALSE(refused.ok);
  CHECK(refused.text == "there is no todo \"9\"; nothing was changed");
  CHECK_FALSE(
      at.call("todo", {{"items", Json::array({{{"id", "1"}, {"status", "finished"}}})}}).ok);
}

TEST_CASE("ask_user hands on question and choices and returns the answer") {
  test::ToolFixture at;
  RecordingDoor door;
  at.session = &door;
  door.answer = std::string("blue");
  const auto answered =
      at.call("ask_user", {{"question", "which?"}, {"choices", Json::array({"red", "blue"})}});
  CHECK(answered.ok);
  CHECK(answered.text == "blue");
  CHECK(door.asked.text == "which?");
  CHECK(door.asked.choices == std::vector<std::string>{"red", "blue"});
  door.answer = fail(ErrorCode::denied, "nobody can be asked here");
  const auto refused = at.call("ask_user", {{"question", "why?"}});
  CHECK_FALSE(refused.ok);
  CHECK(refused.text == "nobody can be asked here");
  CHECK(door.asked.choices.empty());
  CHECK_FALSE(at.call("ask_user", {{"question", "q"}, {"choices", Json::array({"one"})}}).ok);
}

TEST_CASE("read_output shows any part of what was kept, made inert") {
  test::ToolFixture at;
  RecordingDoor door;
  at.session = &door;
  std::string text;
  for (int i = 1; i <= 5000; ++i) text += "line " + std::to_string(i) + "\n";
  text += "\x1b[31mred\x1b[0m \x07 end";
  door.answer = text;
  const auto first = at.call("read_output", {{"output", "0123456789ab"}});
  CHECK(door.wanted == "0123456789ab");
  CHECK(contains(first.text, "     1\tline 1\n"));
  CHECK(contains(first.text, "[lines 1-2000 of 5001 lines; go on with start_line=2001]\n"));
  const auto last = at.call("read_output", {{"output", "0123456789ab"}, {"start_line", 5000}});
  CHECK(contains(last.text, "  5000\tline 5000\n  5001\tred "));
  CHECK(contains(last.text, "[lines 5000-5001, the end of the output]\n"));
  CHECK_FALSE(contains(last.text, "\x1b"));
  CHECK_FALSE(contains(last.text, "\x07"));
  const auto range =
      at.call("read_output", {{"output", "0123456789ab"}, {"start_line", 7}, {"end_line", 8}});
  CHECK(range.text ==
        "     7\tline 7\n     8\tline 8\n[lines 7-8 of 5001 lines; go on with "
        "start_line=9]\n");
  CHECK(contains(at.call("read_output", {{"output", "0123456789ab"}, {"start_line", 9000}}).text,
                 "nothing in this range"));
}

TEST_CASE("read_output finds lines, a bounded number at once") {
  test::ToolFixture at;
  RecordingDoor door;
  at.session = &door;
  std::string text;
  for (int i = 1; i <= 1000; ++i)
    text += "line " + std::to_string(i) + (i % 2 ? " odd" : "") + "\n";
  door.answer = text;
  const auto found = at.call("read_output", {{"output", "0123456789ab"}, {"find", "line 99"}});
  CHECK(contains(found.text, "    99\tline 99 odd\n   990\tline 990\n"));
  CHECK(contains(found.text, "[11 lines with this text]\n"));
  const auto many = at.call("read_output", {{"output", "0123456789ab"}, {"find", "odd"}});
  CHECK(contains(many.text, "[there are more; go on with start_line=401]\n"));
  const auto none = at.call("read_output", {{"output", "0123456789ab"}, {"find", "even"}});
  CHECK(none.text == "[0 lines with this text]\n");
  door.answer = std::string("\0\1\2", 3);
  CHECK(contains(at.call("read_output", {{"output", "0123456789ab"}}).text, "not text"));
}
