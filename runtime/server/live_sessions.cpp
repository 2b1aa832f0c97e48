#include "runtime/server/live_sessions.h"

#include <algorithm>
#include <set>

namespace sable::runtime {

/// One live session: fans out what happens to all who watch, and collects their answers.
class LiveSessions::Hub final : public agent::Observer {
 public:
  Hub(LiveSessions& owner, std::string id) : owner_(owner), id_(std::move(id)) {
    owner_.host_.add_observer(id_, *this);
  }
  ~Hub() override { owner_.host_.remove_observer(id_, *this); }

  Facts facts;
  std::vector<SessionWatcher*> watchers;
  std::optional<std::string> interruption;  ///< asked for; repeated until the turn has seen it

  const std::string& id() const { return id_; }

  void on_event(const memory::Event& event) override {
    facts.last_seq = std::max(facts.last_seq, event.seq);
    for (SessionWatcher* watcher : snapshot()) watcher->on_event(event);
    // An interruption that came before the turn had begun would be lost.
    if (facts.turn_running && interruption) owner_.host_.interrupt(id_, *interruption);
  }

  void on_preview(const agent::Preview& preview) override {
    for (SessionWatcher* watcher : snapshot()) watcher->on_preview(id_, preview);
  }

  asio::awaitable<agent::Permission> on_permission(agent::PermissionRequest request) override {
    const std::string tool = request.call.name;
    if (always_rejected_.contains(tool)) co_return agent::Permission::reject;
    const auto given = co_await answer_to(std::move(request));
    const auto* chosen = given ? std::get_if<PermissionAnswer>(&*given) : nullptr;
    const auto answer = chosen != nullptr ? *chosen : PermissionAnswer::reject_once;
    if (answer == PermissionAnswer::reject_always) always_rejected_.insert(tool);
    if (answer == PermissionAnswer::allow_once) co_return agent::Permission::allow_once;
    if (answer == PermissionAnswer::allow_session) co_return agent::Permission::allow_session;
    co_return agent::Permission::reject;
  }

  asio::awaitable<std::optional<std::string>> on_question(agent::UserQuestion asked) override {
    const auto choices = asked.question.choices;
    const auto given = co_await answer_to(std::move(asked));
    const auto* chosen = given ? std::get_if<size_t>(&*given) : nullptr;
    if (chosen == nullptr || *chosen >= choices.size()) co_return std::nullopt;
    co_return choices[*chosen];
  }

  void add(SessionWatcher& watcher) {
    if (std::find(watchers.begin(), watchers.end(), &watcher) != watchers.end()) return;
    watchers.push_back(&watcher);
    for (Question* question : std::vector<Question*>(questions_)) put(*question, watcher);
  }

  void remove(SessionWatcher& watcher) {
    std::erase(watchers, &watcher);
    for (Question* question : std::vector<Question*>(questions_)) {
      take(*question, watcher, std::nullopt);
    }
  }

  void answer(uint64_t number, SessionWatcher& watcher, std::optional<PersonsAnswer> answer) {
    for (Question* question : std::vector<Question*>(questions_)) {
      if (question->number == number) take(*question, watcher, answer);
    }
  }

 private:
  struct Question {
    uint64_t number;
    std::variant<agent::PermissionRequest, agent::UserQuestion> what;
    asio::steady_timer settled;  ///< cancelled when it is
    std::set<SessionWatcher*> asked;
    std::optional<PersonsAnswer> answer;
  };

  /// Keeps the question in the list while its coroutine waits, however it leaves, and then
  /// withdraws it from all who have not answered.
  class OpenQuestion {
   public:
    OpenQuestion(Hub& hub, Question& question) : hub_(hub), question_(question) {
      hub_.questions_.push_back(&question_);
    }
    ~OpenQuestion() {
      std::erase(hub_.questions_, &question_);
      for (SessionWatcher* watcher : question_.asked) watcher->withdraw(question_.number);
    }
    OpenQuestion(const OpenQuestion&) = delete;
    OpenQuestion& operator=(const OpenQuestion&) = delete;

   private:
    Hub& hub_;
    Question& question_;
  };

  std::vector<SessionWatcher*> snapshot() const { return watchers; }

  /// Puts a question to all who watch, and to those who come while it is open.
  asio::awaitable<std::optional<PersonsAnswer>> answer_to(
      std::variant<agent::PermissionRequest, agent::UserQuestion> what) {
    const auto executor = co_await asio::this_coro::executor;
    Question question{.number = owner_.next_question_++,
                      .what = std::move(what),
                      .settled = asio::steady_timer(executor, owner_.options_.permission_limit)};
    const OpenQuestion open(*this, question);
    for (SessionWatcher* watcher : snapshot()) put(question, *watcher);
    if (!question.asked.empty() && !question.answer) {
      boost::system::error_code woken;
      co_await question.settled.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    co_return question.answer;
  }

  static void put(Question& question, SessionWatcher& watcher) {
    question.asked.insert(&watcher);
    std::visit([&](const auto& what) { watcher.ask(question.number, what); }, question.what);
  }

  static void take(Question& question, SessionWatcher& watcher,
                   std::optional<PersonsAnswer> answer) {
    if (question.asked.erase(&watcher) == 0 || question.answer) return;
    question.answer = answer;
    if (question.answer || question.asked.empty()) question.settled.cancel();
  }

  LiveSessions& owner_;
  std::string id_;
  std::vector<Question*> questions_;
  std::set<std::string> always_rejected_;
};

LiveSessions::LiveSessions(SessionHost& host, asio::any_io_executor executor,
                           LiveSessionsOptions options, Log log)
    : host_(host), executor_(executor), options_(options), log_(std::move(log)), turns_(executor) {}

LiveSessions::~LiveSessions() = default;

LiveSessions::Hub* LiveSessions::find(const std::string& id) const {
  const auto it = hubs_.find(id);
  return it == hubs_.end() ? nullptr : it->second.get();
}

asio::awaitable<Result<std::string>> LiveSessions::create(std::filesystem::path cwd) {
  SABLE_CO_TRY(const std::string id, co_await host_.create_session(std::move(cwd)));
  SABLE_CO_TRY_VOID(co_await make_live(id));
  co_return id;
}

asio::awaitable<Result<void>> LiveSessions::open(std::string id) {
  if (find(id) != nullptr) co_return Result<void>();
  SABLE_CO_TRY_VOID(co_await host_.open_session(id));
  co_return co_await make_live(std::move(id));
}

asio::awaitable<Result<void>> LiveSessions::make_live(std::string id) {
  // The observer first, then the count: no event falls between them.
  if (find(id) == nullptr) hubs_.emplace(id, std::make_unique<Hub>(*this, id));
  SABLE_CO_TRY(auto info, co_await host_.find(id));
  if (Hub* hub = find(id); hub != nullptr) {
    hub->facts.last_seq = std::max(hub->facts.last_seq, info.n_events);
    hub->facts.info = std::move(info);
  }
  co_return Result<void>();
}

const LiveSessions::Facts* LiveSessions::facts(const std::string& id) const {
  const Hub* hub = find(id);
  return hub == nullptr ? nullptr : &hub->facts;
}

void LiveSessions::watch(const std::string& id, SessionWatcher& watcher) {
  if (Hub* hub = find(id); hub != nullptr) hub->add(watcher);
}

void LiveSessions::unwatch(const std::string& id, SessionWatcher& watcher) {
  if (Hub* hub = find(id); hub != nullptr) hub->remove(watcher);
}

void LiveSessions::unwatch_all(SessionWatcher& watcher) {
  for (const auto& [id, hub] : hubs_) hub->remove(watcher);
}

Result<void> LiveSessions::start_turn(const std::string& id, std::optional<std::string> prompt) {
  Hub* hub = find(id);
  if (hub == nullptr) return fail(ErrorCode::not_found, "no such live session: " + id);
  if (stopping_) return fail(ErrorCode::denied, "the server is stopping");
  if (hub->facts.turn_running) {
    return fail(ErrorCode::denied,
                "a turn of this session is running; wait for its end or cancel it");
  }
  hub->facts.turn_running = true;
  hub->interruption.reset();
  turns_.spawn(run_turn(*hub, std::move(prompt)));
  return {};
}

asio::awaitable<void> LiveSessions::run_turn(Hub& hub, std::optional<std::string> prompt) {
  auto result = co_await host_.run_turn(hub.id(), std::move(prompt));
  hub.facts.turn_running = false;
  hub.interruption.reset();
  if (!result) {
    log_.error("a turn could not be recorded",
               {{"session", hub.id()}, {"error", result.error().message}});
  }
  for (SessionWatcher* watcher : std::vector<SessionWatcher*>(hub.watchers)) {
    watcher->on_turn_end(hub.id(), result);
  }
}

void LiveSessions::interrupt(const std::string& id, const std::string& reason) {
  Hub* hub = find(id);
  if (hub == nullptr || !hub->facts.turn_running) return;
  if (!hub->interruption) hub->interruption = reason;
  host_.interrupt(id, reason);
}

void LiveSessions::answer(const std::string& id, uint64_t question, SessionWatcher& watcher,
                          std::optional<PersonsAnswer> answer) {
  if (Hub* hub = find(id); hub != nullptr) hub->answer(question, watcher, answer);
}

asio::awaitable<void> LiveSessions::stop(std::string reason) {
  stopping_ = true;
  for (const auto& [id, hub] : hubs_) interrupt(id, reason);
  co_await turns_.join();
}

}  // namespace sable::runtime
