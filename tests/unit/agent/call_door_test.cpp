#include "agent/call_door.h"

#include <catch2/catch.hpp>

#include "agent/events.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;
using test::run;

namespace {

/// A session whose log names these outputs.
struct Room {
  explicit Room(const std::vector<std::string>& locators) {
    auto opened = memory::Store::open(folder / "home");
    REQUIRE(opened.has_value());
    store = std::move(*opened);
    memory::Seq seq = 0;
    for (const auto& locator : locators) {
      auto event = events::tool_outcome("c", "shell", "ok", "cut", {}, {{"output", locator}});
      REQUIRE(history.take({.session = "s",
                            .seq = ++seq,
                            .type = event.type,
                            .version = event.version,
                            .data = event.data}));
    }
  }

  test::TemporaryFolder folder;
  std::unique_ptr<memory::Store> store;
  History history;
  std::vector<Observer*> nobody;
};

}  // namespace

TEST_CASE("a kept output is found by the first digits of its locator") {
  Room empty({});
  const auto locator = run(empty.store->put_blob("the whole output"));
  REQUIRE(locator.has_value());
  Room room({*locator});
  const auto kept = run(room.store->put_blob("the whole output"));
  REQUIRE(kept.has_value());
  CallDoor door(*room.store, room.history, room.nobody, ApprovalMode::ask, "s", "c");
  const auto found = run(door.kept_output(output_id(*kept)));
  REQUIRE(found.has_value());
  CHECK(*found == "the whole output");
  CHECK(run(door.kept_output(*kept)).has_value());
  CHECK_FALSE(run(door.kept_output("0123456789ab")).has_value());
}

TEST_CASE("what a log from elsewhere calls an output harms nothing") {
  Room room({"x", "blob:sha256", "blob:sha256:../../etc/passwd", std::string(3, '\0')});
  CallDoor door(*room.store, room.history, room.nobody, ApprovalMode::ask, "s", "c");
  CHECK_FALSE(run(door.kept_output("0123456789ab")).has_value());
  CHECK_FALSE(run(door.kept_output("../../etc/passwd")).has_value());
  CHECK_FALSE(run(door.kept_output("x")).has_value());
}

TEST_CASE("where nobody can be asked, the model is told so") {
  Room room({});
  CallDoor door(*room.store, room.history, room.nobody, ApprovalMode::ask, "s", "c");
  const auto answer = run(door.ask({.text = "May I?"}));
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().code == ErrorCode::denied);
}

TEST_CASE("what a call changes of the tasks waits to be logged with its outcome") {
  Room room({});
  CallDoor door(*room.store, room.history, room.nobody, ApprovalMode::ask, "s", "c");
  tools::TaskUpdate update;
  update.goal = "tests pass";
  const auto shown = door.change_tasks(update);
  REQUIRE(shown.has_value());
  CHECK(shown->find("tests pass") != std::string::npos);
  CHECK(door.take_events().size() == 1);
}
