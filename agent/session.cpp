// The turn loop: ask the model, run the calls it asks for, log every fact, until it is done.
#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>

#include "agent/agent.h"
#include "agent/call_checkpoint.h"
#include "agent/call_door.h"
#include "agent/changed_files.h"
#include "agent/context.h"
#include "agent/events.h"
#include "agent/history.h"
#include "agent/history_of.h"
#include "agent/interruption.h"
#include "agent/permission.h"
#include "agent/recovery.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/task_group.h"
#include "base/text.h"

namespace sable::agent {

namespace {

/// How a turn stands: still going, or over with a status and a reason.
struct Verdict {
  std::string status;
  std::string reason;
};

/// What a session is for, until somebody says it better: what it was first asked. Nothing for a
/// prompt that cannot be a goal.
std::optional<memory::NewEvent> goal_of(std::string_view prompt) {
  constexpr size_t kGoalBytesMax = 4000;
  auto goal = memory::set_goal(to_utf8(prompt.substr(0, utf8_prefix(prompt, kGoalBytesMax))));
  if (!goal) return {};
  return std::move(*goal);
}

/// Where changes of calls are kept apart until they are applied or dropped.
std::filesystem::path place_of_kept_changes(const Services& services) {
  return services.store.home() / "transactions";
}

/// What a crash left of calls whose changes were kept apart, in whatever session it was.
asio::awaitable<void> finish_kept_changes(Services services) {
  const std::function<std::vector<std::string>()> finish = [&services] {
    return sandbox::KeptApart::finish_interrupted(place_of_kept_changes(services));
  };
  const auto waiting = co_await run_blocking(services.workers, finish);
  for (const auto& sentence : waiting) services.log.warning(sentence);
}

class LiveSession final : public Session {
 public:
  LiveSession(Services services, SessionSetup setup, Provider& provider,
              const tools::Registry& registry, std::unique_ptr<memory::Lease> lease,
              std::unique_ptr<tools::Workspace> workspace)
      : services_(std::move(services)),
        setup_(std::move(setup)),
        provider_(provider),
        registry_(&registry),
        lease_(std::move(lease)),
        workspace_(std::move(workspace)),
        checkpoints_(services_.store.home(), setup_.repository),
        policy_digest_(to_hex(sha256(sandbox::to_json_text(workspace_->policy())))) {}

  const std::string& id() const override { return lease_->session(); }
  const memory::TaskState& tasks() const override { return history_.tasks(); }
  void add_observer(Observer& observer) override { observers_.push_back(&observer); }
  void remove_observer(Observer& observer) override { std::erase(observers_, &observer); }

  void interrupt(std::string reason) override {
    if (interruption_) interruption_->interrupt(std::move(reason));
  }

  void use_tools(const tools::Registry& registry, std::string notice) override {
    SABLE_CHECK(!interruption_);
    registry_ = &registry;
    tools_notice_ = std::move(notice);
  }

  asio::awaitable<void> close() override { return workspace_->close(); }

  asio::awaitable<Result<TurnResult>> run_turn(std::string prompt) override {
    std::optional<std::string> given(std::move(prompt));
    return guarded_turn(std::move(given));
  }

  asio::awaitable<Result<TurnResult>> continue_turn() override {
    std::optional<std::string> none;
    return guarded_turn(std::move(none));
  }

  /// Writes the first context, or finishes what a crash left open. `resumed`: not by the process
  /// that began it, so that the first event may not tell how it goes on.
  asio::awaitable<Result<void>> begin(bool resumed, BrokenTurn broken) {
    std::vector<memory::NewEvent> opening;
    if (history_.empty()) {
      const auto builder = context_builder();
      BuiltContext context = co_await run_blocking(services_.workers, builder);
      SABLE_CO_TRY(const auto offered, offered_tools(*registry_, setup_.agent));
      opening.push_back(events::context_built(context.system, offered, context.instructions));
    } else {
      opening = broken == BrokenTurn::ended ? events_of_recovery(history_)
                                            : outcomes_of_broken_calls(history_);
    }
    if (resumed && setup_.opt_outs != history_.opt_outs()) {
      opening.push_back(events::opt_outs_changed(setup_.opt_outs));
    }
    if (opening.empty()) co_return Result<void>();
    co_return co_await log(std::move(opening));
  }

  /// `agent`: whose tools the session was begun with. A session that goes on under another agent
  /// keeps them, as it keeps its system prompt.
  asio::awaitable<Result<void>> replay_log(std::string agent) {
    follows_tools_ = agent == setup_.agent.name;
    SABLE_CO_TRY_VOID(
        co_await finish_rewind(services_.store, services_.workers, *lease_, setup_.repository));
    SABLE_CO_TRY(history_, co_await history_of(services_.store, id(), lease_->last_seq()));
    co_return Result<void>();
  }

 private:
  std::function<BuiltContext()> context_builder() const {
    return [agent = setup_.agent, repository = setup_.repository] {
      return build_context(agent, repository);
    };
  }

  // ---- the log

  /// Appends, then takes the events into the history and shows them: durable first, always.
  asio::awaitable<Result<void>> log(std::vector<memory::NewEvent> fresh) {
    SABLE_CO_TRY(const auto events, co_await services_.store.append(*lease_, std::move(fresh)));
    for (const auto& event : events) {
      SABLE_CO_TRY_VOID(history_.take(event));
      for (Observer* observer : std::vector<Observer*>(observers_)) observer->on_event(event);
    }
    co_return Result<void>();
  }

  asio::awaitable<Result<void>> log_one(memory::NewEvent&& event) {
    std::vector<memory::NewEvent> events;
    events.push_back(std::move(event));
    return log(std::move(events));
  }

  void preview(const Preview& shown) {
    for (Observer* observer : std::vector<Observer*>(observers_)) observer->on_preview(shown);
  }

  // ---- one turn

  /// Without a prompt the newest turn goes on.
  asio::awaitable<Result<TurnResult>> guarded_turn(std::optional<std::string> prompt) {
    if (interruption_) {
      co_return fail(ErrorCode::denied, "a turn of this session is already running");
    }
    if (!prompt && !history_.turn_open() && !history_.can_continue()) {
      co_return fail(
          ErrorCode::denied,
          fmt::format("session {} has nothing unfinished; say what is to be done", id()));
    }
    // In a coroutine of its own, so that its protection against cancellation ends with it.
    co_return co_await asio::co_spawn(co_await asio::this_coro::executor,
                                      run_turn_to_its_end(std::move(prompt)), asio::use_awaitable);
  }

  asio::awaitable<Result<TurnResult>> run_turn_to_its_end(std::optional<std::string> prompt) {
    // What must be logged is logged, also when this coroutine is cancelled.
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto executor = co_await asio::this_coro::executor;
    const auto start = services_.clock.monotonic_now();
    turn_ = TurnResult{};
    n_steps_ = n_tool_calls_ = n_failures_in_a_row_ = 0;
    steps_max_ = setup_.limits.steps_max;
    failures_of_.clear();
    repeated_failure_.clear();
    interruption_.emplace(executor, std::chrono::steady_clock::now() + setup_.limits.time_max);
    auto result = co_await logged_turn(std::move(prompt), start);
    interruption_.reset();
    co_return result;
  }

  /// One event, if the model is not offered what the log says, or people do not know the notice.
  Result<std::vector<memory::NewEvent>> events_of_changed_tools() const {
    std::vector<memory::NewEvent> changed;
    if (!follows_tools_) return changed;
    SABLE_TRY(const auto offered, offered_tools(*registry_, setup_.agent));
    if (offered != history_.tools() || tools_notice_ != history_.tools_notice()) {
      changed.push_back(events::tools_changed(offered, tools_notice_));
    }
    return changed;
  }

  /// How the newest turn goes on: with what it has used up, if it was broken off, else with its
  /// bounds anew.
  memory::NewEvent continued_turn() {
    const TurnSoFar& so_far = history_.turn();
    n_steps_ = so_far.n_steps;
    turn_.text = so_far.text;
    if (history_.turn_open()) {
      n_tool_calls_ = so_far.n_tool_calls;
      turn_.usage = so_far.usage;
    } else {
      steps_max_ += n_steps_;
    }
    return events::turn_continued(history_.continued_turn());
  }

  /// The files that changed since `before`, and those that tools said they changed in the turn.
  std::vector<std::string> files_changed(const FileScan& before, const FileScan& after) const {
    std::vector<std::string> changed = changed_between(before, after);
    for (const auto& file : history_.turn().files_changed) {
      if (std::find(changed.begin(), changed.end(), file) == changed.end()) changed.push_back(file);
    }
    return changed;
  }

  asio::awaitable<Result<TurnResult>> logged_turn(std::optional<std::string> prompt,
                                                  MonotonicTime start) {
    const auto root = setup_.repository;
    const std::function<FileScan()> scan = [root] { return scan_files(root); };
    const auto before = co_await run_blocking(services_.workers, scan);
    SABLE_CO_TRY(auto opening, events_of_changed_tools());
    if (prompt && history_.turn_open()) {  // kept, but not gone on with
      auto ending = events_of_recovery(history_);
      opening.insert(opening.begin(), std::make_move_iterator(ending.begin()),
                     std::make_move_iterator(ending.end()));
    }
    opening.push_back(prompt ? events::turn_started(history_.n_turns() + 1, *prompt)
                             : continued_turn());
    if (prompt && history_.tasks().goal.empty()) {
      if (auto goal = goal_of(*prompt)) opening.push_back(std::move(*goal));
    }
    SABLE_CO_TRY_VOID(co_await log(std::move(opening)));
    auto stepped = co_await steps();
    // From here on nothing may cut the story short.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (!stepped) co_return fail(std::move(stepped.error()));
    SABLE_CO_TRY_VOID(co_await close_open_calls());

    const auto after = co_await run_blocking(services_.workers, scan);
    turn_.files_changed = prompt ? changed_between(before, after) : files_changed(before, after);
    turn_.status = stepped->status;
    turn_.reason = stepped->reason;
    turn_.wall = std::chrono::duration_cast<std::chrono::milliseconds>(
        services_.clock.monotonic_now() - start);
    auto turn_ended =
        events::turn_ended(history_.n_turns(), turn_.status, turn_.reason, turn_.usage, turn_.wall,
                           n_steps_, n_tool_calls_, turn_.files_changed);
    SABLE_CO_TRY_VOID(co_await log_one(std::move(turn_ended)));
    co_return turn_;
  }

  /// Steps until the model is done or something ends the turn. Errors are those of the log.
  asio::awaitable<Result<Verdict>> steps() {
    // Of a turn that goes on: it may lack nothing but its end, or what it was broken off before.
    if (!history_.can_continue()) {
      co_return verdict_on_last_words(history_.turn().finish, history_.messages().back().text);
    }
    if (const auto calls = history_.open_calls(); !calls.empty()) {
      SABLE_CO_TRY(const auto verdict, co_await run_calls(calls));
      if (verdict) co_return *verdict;
    }
    while (true) {
      if (n_steps_ >= steps_max_) {
        co_return Verdict{"limit", fmt::format("the limit of {} steps is reached (limits.steps)",
                                               setup_.limits.steps_max)};
      }
      ++n_steps_;
      SABLE_CO_TRY(const auto verdict, co_await step());
      if (verdict) co_return *verdict;
    }
  }

  /// One model reply and the calls that it asks for; a verdict when the turn is over.
  asio::awaitable<Result<std::optional<Verdict>>> step() {
    using Going = std::optional<Verdict>;
    StepRequest request{.session = id(),
                        .messages = history_.messages(),
                        .tools = history_.tools(),
                        .sampling = setup_.agent.sampling};
    auto model_requested = events::model_requested(history_.n_turns(), n_steps_, provider_,
                                                   request.messages.size(), request.sampling);
    SABLE_CO_TRY_VOID(co_await log_one(std::move(model_requested)));
    const auto asked = services_.clock.monotonic_now();
    auto asking = ask_model(std::move(request));
    auto answer = co_await interruption_->guard(std::move(asking));
    if (!answer) co_return Going(stopped());
    if (!*answer) {
      const Error& error = answer->error();
      auto model_failed = events::model_failed(history_.n_turns(), n_steps_, error);
      SABLE_CO_TRY_VOID(co_await log_one(std::move(model_failed)));
      co_return Going(Verdict{"failed", error.message});
    }
    Reply reply = std::move(**answer);
    give_unique_ids(reply);
    turn_.usage.input_tokens += reply.usage.input_tokens;
    turn_.usage.cached_tokens += reply.usage.cached_tokens;
    turn_.usage.output_tokens += reply.usage.output_tokens;
    auto model_finished =
        events::model_finished(history_.n_turns(), n_steps_, reply,
                               std::chrono::duration_cast<std::chrono::milliseconds>(
                                   services_.clock.monotonic_now() - asked));
    SABLE_CO_TRY_VOID(co_await log_one(std::move(model_finished)));
    if (!reply.text.empty()) turn_.text = reply.text;
    if (reply.tool_calls.empty()) co_return Going(verdict_on_last_words(reply.finish, reply.text));
    co_return co_await run_calls(reply.tool_calls);
  }

  /// The calls of a reply, in their order; a verdict when the turn is over.
  asio::awaitable<Result<std::optional<Verdict>>> run_calls(std::vector<RequestedCall> calls) {
    using Going = std::optional<Verdict>;
    for (const auto& call : calls) {
      if (interruption_->stopped()) co_return Going(stopped());
      if (++n_tool_calls_ > setup_.limits.tool_calls_max) {
        co_return Going(Verdict{"limit", fmt::format("the limit of {} tool calls is reached",
                                                     setup_.limits.tool_calls_max)});
      }
      SABLE_CO_TRY_VOID(co_await run_call(call));
    }
    if (interruption_->stopped()) co_return Going(stopped());
    if (n_failures_in_a_row_ >= setup_.limits.repeated_failures_max) {
      co_return Going(
          Verdict{"failed", fmt::format("{} tool calls in a row could not be understood; "
                                        "the last one: {}",
                                        n_failures_in_a_row_, last_failure_)});
    }
    if (!repeated_failure_.empty()) {
      co_return Going(
          Verdict{"failed", fmt::format("the model made the same call of {} {} times, "
                                        "and it failed each time",
                                        repeated_failure_, setup_.limits.same_failures_max)});
    }
    if (turn_.usage.output_tokens >= setup_.limits.output_tokens_max) {
      co_return Going(Verdict{"limit", fmt::format("the limit of {} output tokens is reached",
                                                   setup_.limits.output_tokens_max)});
    }
    co_return Going(std::nullopt);
  }

  asio::awaitable<Result<Reply>> ask_model(StepRequest request) {
    size_t n_calls_begun = 0;
    const auto on_delta = [this, &n_calls_begun](const Delta& delta) {
      Preview shown{.step = n_steps_};
      if (const auto* text = std::get_if<TextDelta>(&delta)) {
        shown.text = text->text;
      } else if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta)) {
        shown.kind = Preview::Kind::reasoning;
        shown.text = reasoning->text;
      } else if (const auto* call = std::get_if<CallDelta>(&delta)) {
        shown.kind = Preview::Kind::call;
        shown.name = call->name;
        shown.text = call->arguments;
        if (!call->name.empty()) ++n_calls_begun;
      } else {
        shown.kind = Preview::Kind::restarted;
        shown.text = std::get<RestartDelta>(delta).reason;
        n_calls_begun = 0;
      }
      preview(shown);
    };
    co_return co_await provider_.complete(std::move(request), on_delta);
  }

  Verdict verdict_on_last_words(FinishReason finish, const std::string& text) const {
    switch (finish) {
      case FinishReason::length:
        return {
            "failed",
            "the model's answer was cut off at its output limit (sampling.output_tokens_max, or "
            "the model's own); ask for less at once"};
      case FinishReason::filtered:
        return {"failed", "the endpoint's content filter ended the answer"};
      case FinishReason::stop:
      case FinishReason::tool_calls:
        break;
    }
    if (text.empty()) return {"failed", "the model answered nothing"};
    return {"finished", ""};
  }

  Verdict stopped() const {
    if (interruption_->deadline_passed()) {
      return {"limit", fmt::format("the time limit of {} s is reached",
                                   setup_.limits.time_max.count() / 1000)};
    }
    return {"interrupted", interruption_->reason()};
  }

  /// Calls without an id, or with one that the session has seen, get one of ours.
  void give_unique_ids(Reply& reply) const {
    std::set<std::string> fresh;
    for (size_t i = 0; i < reply.tool_calls.size(); ++i) {
      auto& id = reply.tool_calls[i].id;
      if (id.empty() || id.size() > 128 || !is_utf8(id) || history_.knows_call(id) ||
          fresh.contains(id)) {
        id = fmt::format("call_{}_{}_{}", history_.n_turns(), n_steps_, i + 1);
      }
      fresh.insert(id);
    }
  }

  // ---- one tool call

  asio::awaitable<Result<void>> run_call(const RequestedCall& requested) {
    const auto call = understood(requested);
    const auto approval = call ? co_await registry_->admit(*call, services_.workers)
                               : Result<tools::Approval>(tl::unexpected(call.error()));
    if (!approval) {
      ++n_failures_in_a_row_;
      last_failure_ = approval.error().message;
      auto tool_outcome = events::tool_outcome(requested.id, requested.name, "invalid",
                                               last_failure_, {}, Json::object());
      co_return co_await log_one(std::move(tool_outcome));
    }
    n_failures_in_a_row_ = 0;
    const auto* tool = registry_->find(call->name);
    SABLE_CHECK(tool != nullptr);
    auto tool_intent = events::tool_intent(history_.n_turns(), n_steps_, *call,
                                           tools::name_of(tool->effect), policy_digest_);
    SABLE_CO_TRY_VOID(co_await log_one(std::move(tool_intent)));

    const Consent consent = history_.allowed_for_session().contains(call->name) ? Consent::session
                            : setup_.always_allowed.contains(call->name)        ? Consent::always
                                                                                : Consent::none;
    PermissionRequest question{.session = id(), .call = *call, .tool = tool};
    auto deciding =
        decide_permission(std::move(question), *approval, setup_.approval, consent, observers_);
    auto decided = co_await interruption_->guard(std::move(deciding));
    std::vector<memory::NewEvent> begin;
    if (!decided) {
      const bool asked = *approval == tools::Approval::ask &&
                         setup_.approval == ApprovalMode::ask && consent == Consent::none;
      begin.push_back(events::approval_decided(
          call->id, call->name, false, asked ? "person" : "interruption",
          asked ? "nobody answered before the turn was stopped" : "the turn was stopped"));
      begin.push_back(cancelled_before(*call));
      co_return co_await log(std::move(begin));
    }
    begin.push_back(events::approval_decided(call->id, call->name, decided->allowed, decided->by,
                                             decided->reason));
    if (!decided->allowed) {
      begin.push_back(events::tool_outcome(call->id, call->name, "refused", decided->reason, {},
                                           Json::object()));
      co_return co_await log(std::move(begin));
    }
    if (tool->effect != tools::Effect::none && setup_.checkpoints) {
      auto keeping = checkpoints_.before(services_.workers, id(), call->id);
      auto checkpoint = co_await interruption_->guard(std::move(keeping));
      if (!checkpoint) {
        begin.push_back(cancelled_before(*call));
        co_return co_await log(std::move(begin));
      }
      begin.push_back(std::move(*checkpoint));
    }
    begin.push_back(events::tool_started(call->id, call->name));
    SABLE_CO_TRY_VOID(co_await log(std::move(begin)));

    CallDoor door(services_.store, history_, observers_, setup_.approval, id(), call->id);
    auto context = call_context(*call, door);
    auto work = registry_->run(*call, std::move(context));
    auto ran = co_await interruption_->guard(std::move(work));
    if (!ran) {
      auto cancelled = cancelled_within(*call);
      co_return co_await log_one(std::move(cancelled));
    }
    if (!*ran) {
      Json details{{"code", name_of(ran->error().code)}};
      auto tool_outcome = events::tool_outcome(call->id, call->name, "failed", ran->error().message,
                                               {}, std::move(details));
      co_return co_await log_one(std::move(tool_outcome));
    }
    count_failure(*call, *tool, (*ran)->ok);
    co_return co_await log_outcome(*call, std::move(**ran), door.take_events());
  }

  bool is_offered(std::string_view name) const {
    const auto& offered = history_.tools();
    return std::any_of(offered.begin(), offered.end(),
                       [&](const OfferedTool& tool) { return tool.name == name; });
  }

  /// Parses what the model wrote; its schema is checked by admit(). The error is for the model.
  Result<tools::Call> understood(const RequestedCall& requested) const {
    if (!requested.problem.empty()) return fail(ErrorCode::invalid_input, requested.problem);
    auto arguments = parse_json(requested.arguments);
    if (!arguments) {
      return fail_in(fmt::format("the arguments of {} are not valid JSON; send the call again",
                                 requested.name),
                     std::move(arguments.error()));
    }
    tools::Call call{requested.id, requested.name, std::move(*arguments)};
    if (!is_offered(call.name) && registry_->find(call.name) != nullptr) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("the tool {} is not offered in this session", call.name));
    }
    return call;
  }

  tools::CallContext call_context(const tools::Call& call, CallDoor& door) {
    return {.workspace = *workspace_,
            .sandbox = services_.sandbox,
            .workers = services_.workers,
            .preview =
                [this, call_id = call.id, name = call.name](std::string_view text) {
                  preview({.kind = Preview::Kind::tool_output,
                           .step = n_steps_,
                           .call_id = call_id,
                           .name = name,
                           .text = std::string(text)});
                },
            .session = &door,
            .kept_apart = place_of_kept_changes(services_),
            .reviewer = &door};
  }

  /// A model that makes one failing call over and over gets no further: nothing has changed that
  /// could make it succeed.
  void count_failure(const tools::Call& call, const tools::Definition& tool, bool ok) {
    if (ok && tool.effect != tools::Effect::none) failures_of_.clear();
    if (ok) return;
    const int n = ++failures_of_[call.name + dump_json(call.arguments)];
    if (n >= setup_.limits.same_failures_max) repeated_failure_ = call.name;
  }

  /// `changes`: what the call changed of the session, logged together with its outcome.
  asio::awaitable<Result<void>> log_outcome(const tools::Call& call, tools::Outcome outcome,
                                            std::vector<memory::NewEvent> changes) {
    if (!outcome.full_output.empty()) {
      outcome.details["output_bytes"] = outcome.full_output.size();
      const auto kept = co_await services_.store.put_blob(std::move(outcome.full_output));
      if (kept) {
        outcome.details["output"] = *kept;
        if (is_offered("read_output")) {
          outcome.text += fmt::format("[the whole output is kept: read_output \"{}\" shows it]\n",
                                      output_id(*kept));
        }
      } else {
        // The call has happened: its outcome is logged even when its whole output cannot be kept.
        outcome.details["output_lost"] = kept.error().message;
      }
    }
    // With the diffs of what changed, which may be long: not on the loop's thread.
    const std::function<memory::NewEvent()> describe = [&call, &outcome] {
      return events::tool_outcome(call.id, call.name, outcome.ok ? "ok" : "failed", outcome.text,
                                  outcome.changes, std::move(outcome.details));
    };
    auto tool_outcome = co_await run_blocking(services_.workers, describe);
    changes.push_back(std::move(tool_outcome));
    co_return co_await log(std::move(changes));
  }

  /// The outcome of a call that was stopped before it was begun.
  memory::NewEvent cancelled_before(const tools::Call& call) const {
    return events::tool_outcome(
        call.id, call.name, "cancelled",
        fmt::format("The turn was stopped ({}) before this call began; it had no effect.",
                    stopped().reason),
        {}, Json::object());
  }

  /// And of one that was running.
  memory::NewEvent cancelled_within(const tools::Call& call) const {
    return events::tool_outcome(
        call.id, call.name, "cancelled",
        fmt::format("The call was stopped ({}); it may have had part of its effect.",
                    stopped().reason),
        {}, Json::object());
  }

  /// Every call of a reply gets a result, also when the turn ends before it ran.
  asio::awaitable<Result<void>> close_open_calls() {
    auto closing = outcomes_of_unrun_calls(history_);
    if (closing.empty()) co_return Result<void>();
    co_return co_await log(std::move(closing));
  }

  Services services_;
  SessionSetup setup_;
  Provider& provider_;
  const tools::Registry* registry_;
  std::string tools_notice_;
  bool follows_tools_ = true;  ///< what the model is offered follows the registry
  std::unique_ptr<memory::Lease> lease_;
  std::unique_ptr<tools::Workspace> workspace_;
  CallCheckpoints checkpoints_;
  std::string policy_digest_;
  History history_;
  std::vector<Observer*> observers_;

  // Of the running turn.
  std::optional<Interruption> interruption_;
  TurnResult turn_;
  int n_steps_ = 0, steps_max_ = 0;
  int n_tool_calls_ = 0;
  int n_failures_in_a_row_ = 0;
  std::string last_failure_;
  std::map<std::string, int> failures_of_;  // by call: name and arguments
  std::string repeated_failure_;            // the tool of a call that failed too often
};

Json record_of(const SessionSetup& setup, const tools::Workspace& workspace) {
  Json record = setup.record;
  if (!setup.opt_outs.empty()) record["opt_outs"] = setup.opt_outs;
  const auto policy = parse_json(sandbox::to_json_text(workspace.policy()));
  if (policy) record["policy"] = *policy;
  record["approval"] = setup.approval == ApprovalMode::ask    ? "ask"
                       : setup.approval == ApprovalMode::all  ? "all"
                       : setup.approval == ApprovalMode::none ? "none"
                                                              : "unattended";
  return record;
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<Session>>> Session::create(Services services,
                                                                  SessionSetup setup,
                                                                  Provider& provider,
                                                                  const tools::Registry& registry,
                                                                  std::string title) {
  if (const auto path = setup.repository.string(); !is_utf8(path)) {
    co_return fail(ErrorCode::invalid_input,
                   fmt::format("repository {}: its path is not valid UTF-8, and a session must be "
                               "able to find it again; rename the folder",
                               to_utf8(path)));
  }
  co_await finish_kept_changes(services);
  SABLE_CO_TRY(auto workspace, co_await tools::Workspace::open_on(services.workers,
                                                                  setup.repository, setup.policy));
  memory::SessionStart start{.title = std::move(title),
                             .working_directory = setup.repository,
                             .agent = setup.agent.name,
                             .model = provider.name() + "/" + provider.model(),
                             .details = record_of(setup, *workspace)};
  SABLE_CO_TRY(auto lease, co_await services.store.create_session(std::move(start)));
  auto session = std::make_unique<LiveSession>(std::move(services), std::move(setup), provider,
                                               registry, std::move(lease), std::move(workspace));
  SABLE_CO_TRY_VOID(co_await session->begin(false, BrokenTurn::ended));
  co_return std::unique_ptr<Session>(std::move(session));
}

asio::awaitable<Result<std::unique_ptr<Session>>> Session::resume(
    Services services, SessionSetup setup, Provider& provider, const tools::Registry& registry,
    std::string id, BrokenTurn broken) {
  SABLE_CO_TRY(const auto info, co_await services.store.find(std::move(id)));
  setup.repository = info.working_directory;
  co_await finish_kept_changes(services);
  SABLE_CO_TRY(auto workspace, co_await tools::Workspace::open_on(services.workers,
                                                                  setup.repository, setup.policy));
  SABLE_CO_TRY(auto lease, co_await services.store.acquire(info.id));
  auto session = std::make_unique<LiveSession>(std::move(services), std::move(setup), provider,
                                               registry, std::move(lease), std::move(workspace));
  SABLE_CO_TRY_VOID(co_await session->replay_log(info.agent));
  SABLE_CO_TRY_VOID(co_await session->begin(true, broken));
  co_return std::unique_ptr<Session>(std::move(session));
}

}  // namespace sable::agent
