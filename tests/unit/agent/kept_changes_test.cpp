// Sessions whose commands' changes are kept apart: who is asked, what becomes real, what the log
// and the model are told. With the real sandbox.
#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "tests/support/contains.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::test;
namespace fs = std::filesystem;

namespace {

/// One command line, then a last word.
class OneCommand final : public Provider {
 public:
  std::string name() const override { return "scripted"; }
  std::string model() const override { return "model"; }
  asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink) override {
    if (request.messages.back().role == Role::tool) {
      told = request.messages.back().text;
      co_return Reply{.text = "done"};
    }
    Reply reply{.finish = FinishReason::tool_calls};
    reply.tool_calls = {{"call", "shell", R"({"command":"echo two >> file; echo x > new"})"}};
    co_return reply;
  }
  std::string told;  ///< of the command
};

/// Answers a question, or interrupts the turn while it is open.
class Watching final : public Observer {
 public:
  void on_event(const memory::Event& event) override { events.push_back(event); }
  void on_preview(const Preview&) override {}
  asio::awaitable<std::optional<std::string>> on_question(UserQuestion question) override {
    asked.push_back(question.question);
    if (while_open) while_open();
    asio::steady_timer timer(co_await asio::this_coro::executor);
    if (!answer) timer.expires_after(std::chrono::minutes(10));
    boost::system::error_code woken;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    co_return answer;
  }

  /// The data of the only event of `type`.
  Json only(std::string_view type) const {
    Json found;
    for (const auto& event : events) {
      if (event.type != type) continue;
      CHECK(found.is_null());
      found = event.data;
    }
    return found;
  }

  std::optional<std::string> answer;
  std::function<void()> while_open;
  std::vector<tools::Question> asked;
  std::vector<memory::Event> events;
};

/// One turn of a session under `files: transaction`.
struct KeptTurn {
  explicit KeptTurn(ApprovalMode mode, std::optional<std::string> answer,
                    bool interrupted = false) {
    folder.write("repository/file", "one\n");
    auto started = sandbox::Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
    if (!started) FAIL(started.error().message);
    box = std::move(*started);
    store = open_store(folder / "home");
    const Services services{*store, *box, workers, system_clock(), Log::none()};
    SessionSetup setup{.repository = folder / "repository",
                       .policy = {.files = sandbox::FileEffects::transaction},
                       .approval = mode};
    auto session = run(Session::create(services, setup, provider, registry, "kept"));
    REQUIRE(session.has_value());
    id = (*session)->id();
    watching.answer = std::move(answer);
    watching.while_open = [&] {
      early = text_of("file") != "one\n" || made();
      if (interrupted) (*session)->interrupt("enough");
    };
    (*session)->add_observer(watching);
    const auto turn = run((*session)->run_turn("do it"));
    REQUIRE(turn.has_value());
    status = turn->status;
    run(closed(**session));
    outcome = watching.only("tool.outcome");
  }

  static asio::awaitable<bool> closed(Session& session) {
    co_await session.close();
    co_return true;
  }
  std::string text_of(const std::string& name) const { return folder.read("repository/" + name); }
  bool made() const { return fs::exists(folder / "repository/new"); }
  bool untouched() const { return text_of("file") == "one\n" && !made(); }
  bool clean() const { return fs::is_empty(folder / "home/transactions"); }

  TemporaryFolder folder;
  std::unique_ptr<sandbox::Sandbox> box;
  std::unique_ptr<memory::Store> store;
  asio::thread_pool workers{1};
  tools::Registry registry = tools::Registry::with_builtins();
  OneCommand provider;
  Watching watching;
  std::string id, status;
  bool early = false;  ///< something was real while the question was open
  Json outcome;
};

}  // namespace

TEST_CASE("a person is shown the diff, and what they apply is told as edits are and can go back") {
  KeptTurn turn(ApprovalMode::ask, "apply");
  CHECK(turn.status == "finished");
  REQUIRE(turn.watching.asked.size() == 1);
  const auto& asked = turn.watching.asked.front();
  CHECK(contains(asked.text, "Apply what shell (exit code 0"));
  CHECK(contains(asked.text, "2 in all"));
  CHECK(asked.choices == std::vector<std::string>{"apply", "drop"});
  CHECK(contains(asked.diff, "modified file\n"));
  CHECK(contains(asked.diff, "+two\n"));
  CHECK_FALSE(turn.early);

  CHECK(turn.text_of("file") == "one\ntwo\n");
  CHECK(turn.text_of("new") == "x\n");
  CHECK(turn.clean());
  CHECK(turn.outcome["status"] == "ok");
  REQUIRE(turn.outcome["changes"].size() == 2);
  CHECK(turn.outcome["changes"][0]["path"] == "file");
  CHECK(turn.outcome["changes"][0]["kind"] == "modified");
  CHECK(contains(turn.outcome["changes"][0]["diff"].get<std::string>(), "+two\n"));
  CHECK(turn.outcome["details"]["kept_apart"]["applied"] == true);
  CHECK(contains(turn.provider.told, "then applied as a whole: the user applied them"));
  CHECK(contains(turn.provider.told, "+two\n"));

  // To before the turn: the checkpoint before the call is that of before the changes.
  memory::Seq begin = 0;
  for (const auto& event : turn.watching.events) {
    if (event.type == "turn.started") begin = event.seq - 1;
  }
  const auto back = run(rewind_session(*turn.store, turn.workers, turn.id, begin, false));
  if (!back) FAIL(back.error().message);
  CHECK(turn.untouched());
}

TEST_CASE(
    "what a person drops, in one word or in their own, is not there, and the model hears it") {
  KeptTurn dropped(ApprovalMode::ask, "drop");
  CHECK(dropped.untouched());
  CHECK(dropped.clean());
  CHECK(dropped.outcome["status"] == "failed");
  CHECK(dropped.outcome["changes"].empty());
  CHECK(contains(dropped.provider.told, "the user dropped them"));

  CHECK(contains(KeptTurn(ApprovalMode::ask, "no").provider.told, "the user dropped them"));
  CHECK(KeptTurn(ApprovalMode::ask, "yes").made());
  KeptTurn said(ApprovalMode::ask, "use another name");
  CHECK(said.untouched());
  CHECK(contains(said.provider.told, "the user says: use another name"));
}

TEST_CASE(
    "where every call may run changes are applied unasked, and where nobody can be asked none") {
  KeptTurn all(ApprovalMode::all, std::nullopt);
  CHECK(all.watching.asked.empty());
  CHECK(all.text_of("file") == "one\ntwo\n");
  CHECK(all.outcome["status"] == "ok");
  for (const auto mode : {ApprovalMode::none, ApprovalMode::unattended}) {
    KeptTurn turn(mode, "apply");
    CHECK(turn.watching.asked.empty());
    CHECK(turn.untouched());
    CHECK(turn.clean());
    CHECK(turn.outcome["status"] == "failed");
    CHECK(contains(turn.provider.told, "nobody can be asked here"));
  }
}

TEST_CASE("a turn that is interrupted while its question is open changes nothing") {
  KeptTurn turn(ApprovalMode::ask, std::nullopt, true);
  CHECK(turn.status == "interrupted");
  REQUIRE(turn.watching.asked.size() == 1);
  CHECK(turn.outcome["status"] == "cancelled");
  CHECK(turn.untouched());
  CHECK(turn.clean());
}

TEST_CASE("an answer that comes with the interruption applies nothing") {
  KeptTurn turn(ApprovalMode::ask, "apply", true);
  CHECK(turn.status == "interrupted");
  CHECK(turn.untouched());
  CHECK(turn.clean());
}
