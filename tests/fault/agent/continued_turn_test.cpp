// A turn that goes on: broken off before each of its events, interrupted, limited, failed, taken
// back. What the model is asked is what it would have been asked.
#include <algorithm>

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "base/check.h"
#include "tests/fault/agent/failing_store.h"
#include "tests/support/plain_sandbox.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;

using sable::test::run;

namespace {

/// Two replies with two calls each, then a last word: a function of the messages alone, as a model
/// is.
class CountingProvider final : public Provider {
 public:
  std::string name() const override { return "counting"; }
  std::string model() const override { return "model"; }
  asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink) override {
    if (fails) co_return fail(ErrorCode::io, "the endpoint is gone");
    const auto& messages = request.messages;
    const auto n_replies = std::count_if(messages.begin(), messages.end(), [](const auto& message) {
      return message.role == Role::assistant;
    });
    Reply reply;
    if (cut_off) {
      reply.text = "and so";
      reply.finish = FinishReason::length;
      co_return reply;
    }
    reply.usage = {.input_tokens = 10, .cached_tokens = 5, .output_tokens = 3};
    if (n_replies >= 2) {
      reply.text = "done";
      co_return reply;
    }
    reply.finish = FinishReason::tool_calls;
    for (const char* part : {"a", "b"}) {
      const std::string name = std::to_string(n_replies) + part;
      const Json arguments{{"command", "echo " + name + " >> effects; echo ran " + name}};
      reply.tool_calls.push_back({"call" + name, "shell", dump_json(arguments)});
    }
    co_return reply;
  }
  bool fails = false, cut_off = false;
};

/// Stops the turn as soon as the n-th event of `type` is told.
class StoppingObserver final : public Observer {
 public:
  StoppingObserver(Session& session, std::string type, int n)
      : session_(session), type_(std::move(type)), n_left_(n) {
    session_.add_observer(*this);
  }
  ~StoppingObserver() override { session_.remove_observer(*this); }
  StoppingObserver(const StoppingObserver&) = delete;
  StoppingObserver& operator=(const StoppingObserver&) = delete;
  void on_event(const memory::Event& event) override {
    if (event.type == type_ && --n_left_ == 0) session_.interrupt("enough");
  }
  void on_preview(const Preview&) override {}

 private:
  Session& session_;
  std::string type_;
  int n_left_;
};

struct ContinuedWorld {
  ContinuedWorld() {
    auto opened = memory::Store::open(home.path());
    SABLE_CHECK(opened.has_value());
    store = std::move(*opened);
  }

  std::unique_ptr<Session> begin(memory::Store& through) {
    return opened(run(Session::create(services(through), setup(), provider, registry, "count")));
  }
  std::unique_ptr<Session> begin() { return begin(*store); }
  std::unique_ptr<Session> take_over(const std::string& id, BrokenTurn broken) {
    return opened(run(Session::resume(services(*store), setup(), provider, registry, id, broken)));
  }

  std::vector<memory::Event> log_of(const std::string& id) const {
    auto events = run(store->read(id, 1, 1000));
    SABLE_CHECK(events.has_value());
    return std::move(*events);
  }
  /// The conversation, without where it is and how long the commands took.
  std::vector<std::string> messages_of(const std::string& id) const {
    const auto messages = messages_from(log_of(id));
    REQUIRE(messages.has_value());
    std::vector<std::string> texts;
    for (const auto& message : *messages) {
      if (message.role == Role::system) continue;
      std::string text = std::string(name_of(message.role)) + ": " + message.text;
      for (const auto& call : message.tool_calls) text += call.id + call.arguments;
      const size_t took = text.find("; ");
      texts.push_back(message.role == Role::tool ? text.substr(0, took) : text);
    }
    return texts;
  }
  std::vector<Json> of(const std::string& id, std::string_view type) const {
    std::vector<Json> found;
    for (const auto& event : log_of(id)) {
      if (event.type == type) found.push_back(event.data);
    }
    return found;
  }
  std::string effects() const { return repository.read("effects"); }

  test::TemporaryFolder home, repository;
  std::unique_ptr<memory::Store> store;
  test::PlainSandbox sandbox;
  asio::thread_pool workers{1};
  CountingProvider provider;
  tools::Registry registry = tools::Registry::with_builtins();
  int steps_max = 50;

 private:
  Services services(memory::Store& through) {
    return {.store = through,
            .sandbox = sandbox,
            .workers = workers,
            .clock = system_clock(),
            .log = Log::none()};
  }
  SessionSetup setup() const {
    return {.repository = repository.path(),
            .approval = ApprovalMode::all,
            .limits = {.steps_max = steps_max}};
  }
  static std::unique_ptr<Session> opened(Result<std::unique_ptr<Session>> session) {
    INFO((session ? "" : session.error().message));
    REQUIRE(session.has_value());
    return std::move(*session);
  }
};

TurnResult turn_of(Result<TurnResult> turn) {
  INFO((turn ? "" : turn.error().message));
  REQUIRE(turn.has_value());
  return std::move(*turn);
}

std::string refusal_of(const Result<TurnResult>& turn) {
  REQUIRE_FALSE(turn.has_value());
  CHECK(turn.error().code == ErrorCode::denied);
  return turn.error().message;
}

constexpr const char* kAllEffects = "0a\n0b\n1a\n1b\n";

/// A session whose turn broke off behind its first reply, before its calls or its end.
std::string broken_behind_first_reply(ContinuedWorld& world) {
  test::FailingStore failing(*world.store);
  auto session = world.begin(failing);
  failing.fail_from(failing.n_appends() + 3);
  REQUIRE_FALSE(run(session->run_turn("count")).has_value());
  return session->id();
}

/// A turn that nothing breaks off: its conversation and end.
struct UntouchedTurn {
  explicit UntouchedTurn(ContinuedWorld& world) {
    test::FailingStore counting(*world.store);
    auto session = world.begin(counting);
    const size_t n_before = counting.n_appends();
    REQUIRE(turn_of(run(session->run_turn("count"))).status == "finished");
    n_appends = counting.n_appends() - n_before;
    messages = world.messages_of(session->id());
    ended = world.of(session->id(), "turn.ended").at(0);
  }
  size_t n_appends = 0;
  std::vector<std::string> messages;
  Json ended;
};

}  // namespace

TEST_CASE("a turn broken off before any event goes on to the end of one that was not") {
  ContinuedWorld whole;
  const UntouchedTurn untouched(whole);
  REQUIRE(whole.effects() == kAllEffects);
  size_t n_unknown = 0;
  for (size_t at = 1; at < untouched.n_appends; ++at) {
    INFO("append " << at << " of " << untouched.n_appends);
    ContinuedWorld world;
    std::string id;
    {
      test::FailingStore failing(*world.store);
      auto session = world.begin(failing);
      id = session->id();
      failing.fail_from(failing.n_appends() + at);
      REQUIRE_FALSE(run(session->run_turn("count")).has_value());
    }
    auto session = world.take_over(id, BrokenTurn::kept);
    CHECK(turn_of(run(session->continue_turn())).status == "finished");
    CHECK(world.effects() == kAllEffects);  // each once, in order
    CHECK(world.of(id, "turn.started").size() == 1);
    CHECK(world.of(id, "turn.continued").size() == 1);
    const auto ended = world.of(id, "turn.ended");
    REQUIRE(ended.size() == 1);
    CHECK(ended[0]["n_steps"] == untouched.ended["n_steps"]);
    CHECK(ended[0]["n_tool_calls"] == untouched.ended["n_tool_calls"]);
    CHECK(ended[0]["usage"] == untouched.ended["usage"]);
    auto messages = world.messages_of(id);
    REQUIRE(messages.size() == untouched.messages.size());
    size_t n_told = 0;
    for (size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].find("is unknown: check before") == std::string::npos) {
        CHECK(messages[i] == untouched.messages[i]);
      } else {
        ++n_told;
      }
    }
    CHECK(n_told <= 1);
    n_unknown += n_told;
  }
  CHECK(n_unknown == 4);  // once for each call, broken off between its start and its outcome
}

TEST_CASE("a turn that was broken off and then ended goes on, too") {
  ContinuedWorld world;
  const std::string id = broken_behind_first_reply(world);
  auto session = world.take_over(id, BrokenTurn::ended);
  const auto ended = world.of(id, "turn.ended");
  REQUIRE(ended.size() == 1);
  CHECK(ended[0]["usage"]["output_tokens"] == 3);
  CHECK(ended[0]["n_steps"] == 1);
  CHECK(turn_of(run(session->continue_turn())).status == "finished");
  CHECK(world.effects() == "1a\n1b\n");  // the model was told that the others were cancelled
}

TEST_CASE("a turn that was kept open is ended by a new prompt") {
  ContinuedWorld world;
  const std::string id = broken_behind_first_reply(world);
  auto session = world.take_over(id, BrokenTurn::kept);
  CHECK(world.of(id, "turn.ended").empty());
  CHECK(turn_of(run(session->run_turn("go on"))).status == "finished");
  const auto ended = world.of(id, "turn.ended");
  REQUIRE(ended.size() == 2);
  CHECK(ended[0]["status"] == "interrupted");
  const auto outcomes = world.of(id, "tool.outcome");
  REQUIRE(outcomes.size() == 4);
  CHECK(outcomes[0]["status"] == "cancelled");
  CHECK(outcomes[1]["status"] == "cancelled");
}

TEST_CASE("an interrupted turn goes on behind what was done") {
  ContinuedWorld world;
  const auto session = world.begin();
  {
    const StoppingObserver stopping(*session, "tool.outcome", 2);
    CHECK(turn_of(run(session->run_turn("count"))).status == "interrupted");
  }
  CHECK(world.effects() == "0a\n0b\n");
  const auto turn = turn_of(run(session->continue_turn()));
  CHECK(turn.status == "finished");
  CHECK(turn.text == "done");
  CHECK(turn.usage.output_tokens == 6);  // of this part
  CHECK(world.effects() == kAllEffects);
  ContinuedWorld other;
  CHECK(world.messages_of(session->id()) == UntouchedTurn(other).messages);
}

TEST_CASE("a turn that reached its limit has its bounds anew when it goes on") {
  ContinuedWorld world;
  world.steps_max = 1;
  const auto session = world.begin();
  CHECK(turn_of(run(session->run_turn("count"))).status == "limit");
  CHECK(turn_of(run(session->continue_turn())).status == "limit");
  CHECK(world.effects() == kAllEffects);
  CHECK(turn_of(run(session->continue_turn())).status == "finished");
  const auto replies = world.of(session->id(), "model.finished");
  REQUIRE(replies.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(replies[i]["step"] == i + 1);  // steps are counted on
}

TEST_CASE("a turn whose model failed goes on when the model is there again") {
  ContinuedWorld world;
  world.provider.fails = true;
  const auto session = world.begin();
  CHECK(turn_of(run(session->run_turn("count"))).status == "failed");
  world.provider.fails = false;
  CHECK(turn_of(run(session->continue_turn())).status == "finished");
  ContinuedWorld other;
  CHECK(world.messages_of(session->id()) == UntouchedTurn(other).messages);
}

TEST_CASE("a turn that lacks nothing but its end ends as the model's last reply says") {
  ContinuedWorld world;
  world.provider.cut_off = true;
  const std::string id = broken_behind_first_reply(world);
  auto session = world.take_over(id, BrokenTurn::kept);
  const auto turn = turn_of(run(session->continue_turn()));
  CHECK(turn.status == "failed");
  CHECK(turn.reason.find("cut off") != std::string::npos);
  CHECK(world.of(id, "model.requested").size() == 1);
}

TEST_CASE("where the model has had its last word nothing goes on") {
  ContinuedWorld world;
  const auto session = world.begin();
  CHECK(refusal_of(run(session->continue_turn())).find("nothing unfinished") != std::string::npos);
  CHECK(turn_of(run(session->run_turn("count"))).status == "finished");
  const auto n_events = world.log_of(session->id()).size();
  CHECK(refusal_of(run(session->continue_turn())).find("nothing unfinished") != std::string::npos);
  CHECK(world.log_of(session->id()).size() == n_events);
}

TEST_CASE("a turn goes on from where it was rewound to, under a number of its own") {
  ContinuedWorld world;
  std::string id;
  memory::Seq behind_first_step = 0;
  {
    const auto session = world.begin();
    id = session->id();
    CHECK(turn_of(run(session->run_turn("count"))).status == "finished");
    CHECK(turn_of(run(session->run_turn("again"))).status == "finished");
    for (const auto& event : world.log_of(id)) {
      if (event.type == "model.requested" && event.data["step"] == 2 && event.data["turn"] == 1) {
        behind_first_step = event.seq - 1;
      }
    }
  }
  REQUIRE(behind_first_step > 0);
  REQUIRE(
      run(rewind_session(*world.store, world.workers, id, behind_first_step, false)).has_value());
  CHECK(world.effects() == "0a\n0b\n");
  const auto session = world.take_over(id, BrokenTurn::kept);
  CHECK(turn_of(run(session->continue_turn())).status == "finished");
  CHECK(world.effects() == kAllEffects);
  CHECK(world.of(id, "turn.continued").at(0)["turn"] == 3);
  ContinuedWorld other;
  CHECK(world.messages_of(id) == UntouchedTurn(other).messages);
}
