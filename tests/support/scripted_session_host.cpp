#include "tests/support/scripted_session_host.h"

#include <algorithm>

#include "base/task_group.h"

namespace sable::test {

Act Act::event(std::string type, Json data) {
  Act act;
  act.type = std::move(type);
  act.data = std::move(data);
  return act;
}

Act Act::text(int step, std::string text) {
  Act act{.kind = Kind::preview};
  act.preview.step = step;
  act.preview.text = std::move(text);
  return act;
}

Act Act::output(std::string call_id, std::string text) {
  Act act{.kind = Kind::preview};
  act.preview.kind = agent::Preview::Kind::tool_output;
  act.preview.call_id = std::move(call_id);
  act.preview.text = std::move(text);
  return act;
}

Act Act::ask(std::string tool) {
  Act act{.kind = Kind::ask};
  act.tool = std::move(tool);
  return act;
}

Act Act::wait() { return {.kind = Kind::wait}; }

void ScriptedSessionHost::add_past(const std::string& id, const std::filesystem::path& cwd,
                                   size_t n_events, const std::string& type, const Json& data) {
  sessions_[id].cwd = cwd;
  for (size_t i = 0; i < n_events; ++i) append(id, type, data);
}

void ScriptedSessionHost::append(const std::string& id, const std::string& type, Json data) {
  auto& session = sessions_[id];
  memory::Event event;
  event.session = id;
  event.seq = session.events.size() + 1;
  event.type = type;
  event.data = std::move(data);
  session.events.push_back(event);
  for (auto* observer : std::vector<agent::Observer*>(session.observers)) observer->on_event(event);
}

void ScriptedSessionHost::preview(const std::string& id, const agent::Preview& preview) {
  for (auto* observer : std::vector<agent::Observer*>(sessions_[id].observers)) {
    observer->on_preview(preview);
  }
}

void ScriptedSessionHost::release() {
  for (auto& [id, session] : sessions_) {
    if (session.waiting != nullptr) session.waiting->cancel();
  }
}

size_t ScriptedSessionHost::n_events(const std::string& id) const {
  return sessions_.at(id).events.size();
}

asio::awaitable<Result<std::string>> ScriptedSessionHost::create_session(
    std::filesystem::path cwd) {
  if (cwd == "/missing") co_return fail(ErrorCode::not_found, "/missing: no such folder");
  const std::string id = "s_" + std::to_string(sessions_.size() + 1);
  sessions_[id].cwd = cwd;
  sessions_[id].live = true;
  append(id, "session.started", {{"working_directory", cwd.string()}});
  co_return id;
}

asio::awaitable<Result<void>> ScriptedSessionHost::open_session(std::string id) {
  if (!sessions_.contains(id)) co_return fail(ErrorCode::not_found, "no such session: " + id);
  if (owned_elsewhere.contains(id)) {
    co_return fail(ErrorCode::denied, "process 7 owns the session; attach to it or fork it");
  }
  sessions_[id].live = true;
  co_return Result<void>();
}

void ScriptedSessionHost::add_observer(const std::string& id, agent::Observer& observer) {
  if (sessions_.contains(id)) sessions_[id].observers.push_back(&observer);
}

void ScriptedSessionHost::remove_observer(const std::string& id, agent::Observer& observer) {
  if (sessions_.contains(id)) std::erase(sessions_[id].observers, &observer);
}

asio::awaitable<agent::Permission> ScriptedSessionHost::ask(Scripted& session,
                                                            agent::PermissionRequest request) {
  auto permission = agent::Permission::reject;
  for (auto* observer : std::vector<agent::Observer*>(session.observers)) {
    permission = co_await observer->on_permission(request);
    if (permission != agent::Permission::reject) break;
  }
  co_return permission;
}

asio::awaitable<Result<agent::TurnResult>> ScriptedSessionHost::run_turn(
    std::string id, std::optional<std::string> prompt) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto executor = co_await asio::this_coro::executor;
  auto& session = sessions_.at(id);
  if (std::exchange(session.running, true)) {
    co_return fail(ErrorCode::denied, "a turn of this session is already running");
  }
  session.interrupted = false;
  prompts.push_back(prompt.value_or("(goes on)"));
  std::vector<Act> acts;
  if (!turns.empty()) {
    acts = std::move(turns.front());
    turns.pop_front();
  }
  prompt ? append(id, "turn.started", {{"turn", 1}, {"prompt", *prompt}})
         : append(id, "turn.continued", {{"turn", 1}});
  int n_asked = 0;
  for (auto& act : acts) {
    if (session.interrupted) break;
    // Real turns wait between their acts; this lets the connections work meanwhile.
    co_await asio::post(executor, asio::use_awaitable);
    if (act.kind == Act::Kind::event) {
      append(id, act.type, act.data);
    } else if (act.kind == Act::Kind::preview) {
      preview(id, act.preview);
    } else if (act.kind == Act::Kind::wait) {
      asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
      session.waiting = &timer;
      boost::system::error_code woken;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      session.waiting = nullptr;
    } else {
      asio::cancellation_signal stop;
      session.asking = &stop;
      agent::PermissionRequest request;
      request.session = id;
      request.call.id = "call_" + std::to_string(++n_asked);
      request.call.name = act.tool;
      request.call.arguments = {{"command", "make"}};
      request.tool = nullptr;
      const auto permission =
          co_await asio::co_spawn(executor, ask(session, std::move(request)),
                                  asio::bind_cancellation_slot(stop.slot(), asio::use_awaitable));
      session.asking = nullptr;
      append(id, "approval.decided",
             {{"tool", act.tool},
              {"decision", permission == agent::Permission::allow_once      ? "once"
                           : permission == agent::Permission::allow_session ? "session"
                                                                            : "refused"}});
    }
  }
  auto ended = result;
  if (session.interrupted) ended.status = "interrupted";
  append(id, "turn.ended", {{"status", ended.status}});
  session.running = false;
  co_return ended;
}

void ScriptedSessionHost::interrupt(const std::string& id, std::string reason) {
  auto& session = sessions_.at(id);
  if (!session.running) return;
  interruptions.push_back(std::move(reason));
  session.interrupted = true;
  if (session.waiting != nullptr) session.waiting->cancel();
  if (session.asking != nullptr) session.asking->emit(asio::cancellation_type::terminal);
}

memory::SessionInfo ScriptedSessionHost::info_of(const std::string& id,
                                                 const Scripted& session) const {
  memory::SessionInfo info;
  info.id = id;
  info.title = "a task";
  info.working_directory = session.cwd;
  info.status = session.running ? "running" : "idle";
  info.n_events = session.events.size();
  return info;
}

memory::TaskState ScriptedSessionHost::tasks(const std::string& id) const {
  memory::TaskState state;
  for (const auto& event : sessions_.at(id).events) memory::apply_task_event(state, event);
  return state;
}

asio::awaitable<Result<memory::SessionInfo>> ScriptedSessionHost::find(std::string id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) co_return fail(ErrorCode::not_found, "no such session: " + id);
  co_return info_of(id, it->second);
}

asio::awaitable<Result<std::vector<memory::SessionInfo>>> ScriptedSessionHost::list(size_t n_max) {
  std::vector<memory::SessionInfo> infos;
  for (const auto& [id, session] : sessions_) {
    if (infos.size() < n_max) infos.push_back(info_of(id, session));
  }
  co_return infos;
}

asio::awaitable<Result<std::vector<memory::Event>>> ScriptedSessionHost::read(std::string id,
                                                                              memory::Seq from,
                                                                              size_t n_max) {
  // A store answers from another thread: never at once.
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
  if (!read_error.message.empty()) co_return fail(read_error);
  std::vector<memory::Event> events;
  for (const auto& event : sessions_.at(id).events) {
    if (event.seq >= from && events.size() < n_max) events.push_back(event);
  }
  co_return events;
}

}  // namespace sable::test
