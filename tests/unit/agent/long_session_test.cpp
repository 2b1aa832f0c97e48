// What a session of very many events keeps in memory: what the model must see again, and besides
// that next to nothing.
#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "agent/agent.h"
#include "tests/support/plain_sandbox.h"
#include "tests/support/process_memory.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::test;

namespace {

constexpr int kStepsInTurn = 40;
constexpr int kCallsInStep = 6;
constexpr int kLongOutputEvery = 25;  // calls

/// Asks for six commands a step, with ids as endpoints give them, until the turn has its steps.
class ScriptedProvider final : public Provider {
 public:
  std::string name() const override { return "scripted"; }
  std::string model() const override { return "model"; }

  asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink) override {
    if (measures) {
      // On one thread nothing else is going on now: what a copy takes is what it is made of.
      const size_t before = allocated_bytes();
      Transcript copy;
      copy.assign(request.messages.begin(), request.messages.end());
      transcript_bytes = allocated_bytes() - before;
      n_messages = copy.size();
      measures = false;
    }
    Reply reply{.text = fmt::format("step {} of the turn", n_steps_)};
    reply.replay = Json{{"kind", "tokens-1"}, {"tokens", std::vector<int>(24, 1234)}};
    if (++n_steps_ % kStepsInTurn == 0) co_return reply;
    reply.finish = FinishReason::tool_calls;
    for (int i = 0; i < kCallsInStep; ++i) {
      const int number = ++n_calls_;
      reply.tool_calls.push_back({fmt::format("call_{:024x}", number), "shell",
                                  fmt::format(R"({{"command":"command {}"}})", number), ""});
    }
    co_return reply;
  }

  bool measures = false;
  size_t transcript_bytes = 0;  ///< of the messages that the model was last asked with
  size_t n_messages = 0;

 private:
  int n_steps_ = 0, n_calls_ = 0;
};

/// Prints a line, and now and then more than is shown, so that it is kept.
class PrintingSandbox final : public sandbox::Sandbox {
 public:
  asio::awaitable<Result<sandbox::RunResult>> run(sandbox::Policy, sandbox::Command command,
                                                  sandbox::OutputSink output) override {
    std::string text = "printed by " + command.argv.back() + "\n";
    if (++n_runs_ % kLongOutputEvery == 0) {
      while (text.size() < (64 << 10)) text += text;
    }
    output(sandbox::Stream::standard_output, text);
    co_return sandbox::RunResult{};
  }
  asio::awaitable<Result<std::unique_ptr<sandbox::Session>>> open_session(
      sandbox::Policy policy) override {
    std::unique_ptr<sandbox::Session> session =
        std::make_unique<UnsharedSession>(*this, std::move(policy));
    co_return session;
  }

 private:
  int n_runs_ = 0;
};

class LastSeq final : public Observer {
 public:
  void on_event(const memory::Event& event) override { seq = event.seq; }
  void on_preview(const Preview&) override {}
  memory::Seq seq = 0;
};

struct Footprint {
  memory::Seq n_events = 0;
  size_t n_messages = 0;
  size_t allocated = 0, resident = 0, transcript = 0;
  size_t besides() const { return allocated - transcript; }
};

/// A session that lives in this process from its first event on.
class LongSession {
 public:
  LongSession() {
    std::filesystem::create_directory(folder_ / "repository");
    store_ = open_store(folder_ / "home");
    SessionSetup setup{
        .repository = folder_ / "repository",
        .approval = ApprovalMode::all,
        .limits = {.steps_max = kStepsInTurn, .tool_calls_max = kStepsInTurn * kCallsInStep},
        .checkpoints = false};
    session_ = must(Session::create({*store_, sandbox_, workers_, system_clock(), Log::none()},
                                    std::move(setup), provider_, registry_, "long"));
    session_->add_observer(last_);
  }

  Footprint grow_to(memory::Seq n_events) {
    while (last_.seq < n_events) {
      const auto turn = must(session_->run_turn("go on"));
      REQUIRE(turn.status == "finished");
    }
    const size_t resident = resident_bytes();
    provider_.measures = true;
    must(session_->run_turn("go on"));
    Footprint footprint{.n_events = last_.seq,
                        .n_messages = provider_.n_messages,
                        .allocated = allocated_bytes(),
                        .resident = resident,
                        .transcript = provider_.transcript_bytes};
    WARN(fmt::format(
        "{} events, {} messages: {} KiB allocated, {} KiB resident; the messages take "
        "{} KiB of it, {} KiB is something else",
        footprint.n_events, footprint.n_messages, footprint.allocated >> 10,
        footprint.resident >> 10, footprint.transcript >> 10, footprint.besides() >> 10));
    return footprint;
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<memory::Store> store_;
  ScriptedProvider provider_;
  PrintingSandbox sandbox_;
  asio::thread_pool workers_{1};
  tools::Registry registry_ = tools::Registry::with_builtins();
  LastSeq last_;
  std::unique_ptr<Session> session_;
};

}  // namespace

TEST_CASE("besides its messages, a session of a hundred thousand events grows by next to nothing",
          "[slow]") {
  LongSession session;
  session.grow_to(10'000);
  const auto early = session.grow_to(20'000);
  session.grow_to(50'000);
  const auto late = session.grow_to(100'000);
  CHECK(late.besides() < early.besides() + (size_t{2} << 20));
}
