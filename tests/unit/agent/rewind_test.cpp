// Rewinding through the store and real files, without a model.
#include "agent/rewind.h"

#include <fstream>
#include <optional>

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "agent/call_checkpoint.h"
#include "agent/events.h"
#include "agent/history_of.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

/// A session that writes one file a turn, with the events that the turn loop would log.
class Story {
 public:
  Story() {
    fs::create_directories(root());
    auto opened = memory::Store::open(folder_ / "home");
    REQUIRE(opened.has_value());
    store = std::move(*opened);
    lease = must(store->create_session({.title = "story", .working_directory = root()}));
    append(events::context_built("system", {}, Json::array()));
  }
  fs::path root() const { return folder_ / "root"; }
  std::string id() const { return id_.empty() ? lease->session() : id_; }

  memory::Seq append(memory::NewEvent event) {
    std::vector<memory::NewEvent> fresh;
    fresh.push_back(std::move(event));
    return must(store->append(*lease, std::move(fresh))).back().seq;
  }

  /// Returns the event that ends the turn.
  memory::Seq turn(int number, const std::string& content) {
    const auto call = "call_" + std::to_string(number);
    append(events::turn_started(number, "prompt " + std::to_string(number)));
    Reply reply{.text = "reply " + std::to_string(number)};
    reply.tool_calls = {{call, "write_file", "{}"}};
    append(events::model_finished(number, 1, reply, {}));
    if (!checkpoints_) checkpoints_.emplace(folder_ / "home", root());
    append(run(checkpoints_->before(workers, lease->session(), call)));
    append(events::tool_started(call, "write_file"));
    between = append(events::approval_decided(call, "write_file", true, "mode", ""));
    std::ofstream(root() / "file") << content;
    append(events::tool_outcome(call, "write_file", "ok", "written", {}, Json::object()));
    return append(events::turn_ended(number, "finished", "", {}, {}, 1, 1, {}));
  }

  void release() {
    id_ = lease->session();
    lease.reset();
    checkpoints_.reset();
  }

  /// The kept object that holds the content "one" is gone, or cut in half.
  void lose_one() { fs::remove(object_of_one()); }
  void damage_one() {
    const auto object = object_of_one();
    fs::permissions(object, fs::perms::owner_all);
    fs::resize_file(object, fs::file_size(object) / 2);
  }

  std::string content() const {
    std::ifstream in(root() / "file");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> prompts() {
    const auto info = must(store->find(id()));
    const auto history = must(history_of(*store, id(), info.n_events));
    std::vector<std::string> texts;
    for (const auto& message : history.messages()) {
      if (message.role == Role::user) texts.push_back(message.text);
    }
    const auto all = must(store->read(id(), 1, 100000));
    const auto again = messages_from(all);
    REQUIRE(again.has_value());
    CHECK(again->size() == history.messages().size());
    return texts;
  }

 private:
  fs::path object_of_one() const {
    for (const auto& kept : fs::directory_iterator(folder_ / "home" / "checkpoints")) {
      // printf one | git hash-object --stdin
      const auto object = kept.path() / "objects/43/dd47ea691c90a5fa7827892c70241913351963";
      if (fs::exists(object)) return object;
    }
    FAIL("no object holds \"one\"");
    return {};
  }

  TemporaryFolder folder_;
  std::string id_;

 public:
  asio::thread_pool workers{1};
  std::unique_ptr<memory::Store> store;
  std::unique_ptr<memory::Lease> lease;
  memory::Seq between = 0;  ///< an event between a call and its outcome

 private:
  std::optional<CallCheckpoints> checkpoints_;  ///< while there, nothing is swept away
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a rewind takes conversation and files to one moment, and can be undone") {
  Story story;
  const auto first = story.turn(1, "one");
  const auto second = story.turn(2, "two");
  story.turn(3, "three");
  story.release();

  const auto back = must(rewind_session(*story.store, story.workers, story.id(), first, false));
  CHECK(back.files_changed);
  CHECK(story.content() == "one");
  CHECK(story.prompts() == Texts{"prompt 1"});

  const auto undone =
      must(rewind_session(*story.store, story.workers, story.id(), back.event - 1, false));
  CHECK(story.content() == "three");
  CHECK(story.prompts() == Texts{"prompt 1", "prompt 2", "prompt 3"});

  must(rewind_session(*story.store, story.workers, story.id(), second, false));
  CHECK(story.content() == "two");
  CHECK(story.prompts() == Texts{"prompt 1", "prompt 2"});
  must(rewind_session(*story.store, story.workers, story.id(), undone.event - 1, false));
  CHECK(story.content() == "one");
  CHECK(story.prompts() == Texts{"prompt 1"});
}

TEST_CASE("a rewind behind one without files finds the files that a later one changed") {
  Story story;
  const auto first = story.turn(1, "one");
  const auto second = story.turn(2, "two");
  story.release();
  const auto rewind = [&](memory::Seq to) {
    return must(rewind_session(*story.store, story.workers, story.id(), to, false));
  };
  // No call lies between, so neither of the two has files.
  CHECK_FALSE(rewind(second - 1).files_changed);
  CHECK_FALSE(rewind(second - 1).files_changed);
  CHECK(rewind(first).files_changed);
  CHECK(story.content() == "one");
  CHECK(rewind(second).files_changed);
  CHECK(story.content() == "two");
  CHECK(story.prompts() == Texts{"prompt 1", "prompt 2"});
}

TEST_CASE("a session goes on after a rewind, and its turns are counted on") {
  Story story;
  const auto first = story.turn(1, "one");
  story.turn(2, "two");
  story.release();
  must(rewind_session(*story.store, story.workers, story.id(), first, false));
  story.lease = must(story.store->acquire(story.id()));
  const auto history = must(history_of(*story.store, story.id(), story.lease->last_seq()));
  CHECK(history.n_turns() == 2);
  story.turn(3, "another");
  CHECK(story.prompts() == Texts{"prompt 1", "prompt 3"});
}

TEST_CASE("a fork has the files that were kept before it, also when its original is deleted") {
  Story story;
  const auto first = story.turn(1, "one");
  const auto last = story.turn(2, "two");
  const auto fork = must(story.store->fork(story.id(), last))->session();
  story.release();
  must(story.store->remove(story.id()));
  const auto back = must(rewind_session(*story.store, story.workers, fork, first, false));
  CHECK(back.files_changed);
  CHECK(story.content() == "one");
}

TEST_CASE("with --keep-files the conversation goes back and the files stay") {
  Story story;
  const auto first = story.turn(1, "one");
  story.turn(2, "two");
  story.release();
  const auto back = must(rewind_session(*story.store, story.workers, story.id(), first, true));
  CHECK_FALSE(back.files_changed);
  CHECK(story.content() == "two");
  CHECK(story.prompts() == Texts{"prompt 1"});
}

TEST_CASE("a rewind into the middle of a call, to nowhere or of a session in use is refused") {
  Story story;
  story.turn(1, "one");
  const auto code = [&](memory::Seq to) {
    const auto result = run(rewind_session(*story.store, story.workers, story.id(), to, false));
    REQUIRE_FALSE(result.has_value());
    return result.error().code;
  };
  CHECK(code(1) == ErrorCode::denied);
  story.release();
  CHECK(code(story.between) == ErrorCode::invalid_input);
  CHECK(code(0) == ErrorCode::invalid_input);
  CHECK(code(1000) == ErrorCode::invalid_input);
  CHECK(story.content() == "one");
}

TEST_CASE("a moment whose files were not kept is said, and nothing is changed") {
  Story story;
  const auto first = story.turn(1, "one");
  story.append(events::turn_started(2, "prompt 2"));
  story.append(events::files_checkpointed(
      "c", Result<memory::FileCheckpoint>(fail(ErrorCode::exhausted, "too many files"))));
  std::ofstream(story.root() / "file") << "two";
  story.release();
  const auto result = run(rewind_session(*story.store, story.workers, story.id(), first, false));
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().message.find("too many files") != std::string::npos);
  CHECK(story.content() == "two");
  CHECK(story.prompts() == Texts{"prompt 1", "prompt 2"});
}

TEST_CASE("a rewind that a crash cut off is finished when the session is taken up") {
  Story story;
  story.turn(1, "one");
  const auto kept = must(story.store->find_events(story.id(), "files.checkpointed", 1, 1));
  // As after a crash: the event is there, the files are not.
  story.append(events::session_rewound(2, 1, string_or(kept[0].data, "checkpoint", ""), ""));
  REQUIRE(run(finish_rewind(*story.store, story.workers, *story.lease, story.root())));
  CHECK_FALSE(fs::exists(story.root() / "file"));
  const auto last = must(story.store->read(story.id(), story.lease->last_seq(), 1));
  CHECK(last[0].type == "files.restored");
  REQUIRE(run(finish_rewind(*story.store, story.workers, *story.lease, story.root())));
  CHECK(story.lease->last_seq() == last[0].seq);
}

TEST_CASE("a rewind to files that are lost or damaged is refused, and nothing is appended") {
  Story story;
  const auto first = story.turn(1, "one");
  story.turn(2, "two");
  const auto last = story.lease->last_seq();
  story.release();
  ErrorCode expected{};
  SECTION("lost") {
    story.lose_one();
    expected = ErrorCode::not_found;
  }
  SECTION("damaged") {
    story.damage_one();
    expected = ErrorCode::corrupt;
  }
  const auto result = run(rewind_session(*story.store, story.workers, story.id(), first, false));
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == expected);
  CHECK(result.error().message.find("--keep-files") != std::string::npos);
  CHECK(must(story.store->find(story.id())).n_events == last);
  CHECK(story.content() == "two");
  CHECK(must(rewind_session(*story.store, story.workers, story.id(), first, true)).to == first);
}

TEST_CASE("a rewind that was cut off and cannot be finished is logged, and the session goes on") {
  Story story;
  story.turn(1, "one");
  story.turn(2, "two");
  const auto kept = must(story.store->find_events(story.id(), "files.checkpointed", 1, 2));
  auto checkpoint = string_or(kept[1].data, "checkpoint", "");
  SECTION("lost") { story.lose_one(); }
  SECTION("damaged") { story.damage_one(); }
  SECTION("never there") { checkpoint = std::string(40, '1'); }
  SECTION("no checkpoint's name") { checkpoint = "elsewhere"; }
  story.append(events::session_rewound(2, 2, checkpoint, ""));
  REQUIRE(run(finish_rewind(*story.store, story.workers, *story.lease, story.root())));
  const auto last = must(story.store->read(story.id(), story.lease->last_seq(), 1));
  CHECK(last[0].type == "files.restored");
  CHECK(string_or(last[0].data, "checkpoint", "none").empty());
  CHECK_FALSE(string_or(last[0].data, "reason", "").empty());
  CHECK(story.content() == "two");
  REQUIRE(run(finish_rewind(*story.store, story.workers, *story.lease, story.root())));
  CHECK(story.lease->last_seq() == last[0].seq);
}

TEST_CASE("task state goes back with the conversation") {
  Story story;
  const auto goal = memory::set_goal("first goal");
  REQUIRE(goal.has_value());
  const auto at = story.append(*goal);
  const auto other = memory::set_goal("second goal");
  REQUIRE(other.has_value());
  story.append(*other);
  CHECK(must(tasks_of(*story.store, story.id())).goal == "second goal");
  story.release();
  must(rewind_session(*story.store, story.workers, story.id(), at, false));
  CHECK(must(tasks_of(*story.store, story.id())).goal == "first goal");
}
