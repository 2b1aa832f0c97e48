#include "runtime/agent_session_host.h"

#include "base/task_group.h"

namespace sable::runtime {

Result<AgentSessionHost::Tools> AgentSessionHost::tools_of(
    const std::filesystem::path& repository) const {
  SABLE_TRY(const auto loaded, program_.load_config(repository));
  SABLE_TRY(const auto trusted, check_trust(loaded, repository));
  SABLE_TRY(auto registry, make_registry(loaded, repository, trusted));
  return Tools{std::move(registry), trusted.notice};
}

asio::awaitable<Result<std::unique_ptr<AgentSessionHost::Live>>> AgentSessionHost::assemble(
    std::filesystem::path repository) {
  const std::function<Result<SessionParts>()> work = [this, repository]() -> Result<SessionParts> {
    SABLE_TRY(const auto place, configured_repository(program_, repository.string()));
    return make_session_parts(program_, place.loaded, place.root, {models_, services_.workers},
                              services_.log);
  };
  auto live = std::make_unique<Live>();
  SABLE_CO_TRY(live->parts, co_await run_blocking(services_.workers, work));
  co_return live;
}

asio::awaitable<Result<std::string>> AgentSessionHost::create_session(std::filesystem::path cwd) {
  SABLE_CO_TRY(auto made, co_await assemble(std::move(cwd)));
  auto& parts = made->parts;
  const std::string title = "session in " + parts.setup.repository.filename().string();
  SABLE_CO_TRY(made->session, co_await agent::Session::create(
                                  services_, parts.setup, *parts.provider, parts.registry, title));
  std::string id = made->session->id();
  live_.emplace(id, std::move(made));
  co_return id;
}

asio::awaitable<Result<void>> AgentSessionHost::open_session(std::string id) {
  if (live_.contains(id)) co_return Result<void>();
  SABLE_CO_TRY(const auto info, co_await services_.store.find(id));
  SABLE_CO_TRY(auto made, co_await assemble(info.working_directory));
  auto& parts = made->parts;
  SABLE_CO_TRY(made->session,
               co_await agent::Session::resume(services_, parts.setup, *parts.provider,
                                               parts.registry, info.id, agent::BrokenTurn::ended));
  live_.emplace(info.id, std::move(made));
  co_return Result<void>();
}

AgentSessionHost::Live* AgentSessionHost::live(const std::string& id) {
  const auto it = live_.find(id);
  return it == live_.end() ? nullptr : it->second.get();
}

void AgentSessionHost::add_observer(const std::string& id, agent::Observer& observer) {
  if (auto* found = live(id)) {
    if (found->observers.insert(&observer).second) found->session->add_observer(observer);
  }
}

void AgentSessionHost::remove_observer(const std::string& id, agent::Observer& observer) {
  if (auto* found = live(id)) {
    if (found->observers.erase(&observer) > 0) found->session->remove_observer(observer);
    forget_if_idle(id);
  }
}

/// Gives the session's lease back when nobody watches and nothing runs, so that other processes may
/// own it.
void AgentSessionHost::forget_if_idle(const std::string& id) {
  const auto it = live_.find(id);
  if (it == live_.end() || !it->second->observers.empty() || it->second->turn_running) return;
  ending_.spawn(end(std::move(it->second)));
  live_.erase(it);
}

asio::awaitable<void> AgentSessionHost::end(std::unique_ptr<Live> live) {
  co_await live->session->close();
}

asio::awaitable<void> AgentSessionHost::close() {
  for (auto& [id, live] : std::exchange(live_, {})) ending_.spawn(end(std::move(live)));
  co_await ending_.join();
}

/// Files that cannot be used change nothing but the notice.
asio::awaitable<void> AgentSessionHost::reload_tools(Live& live) {
  auto& parts = live.parts;
  const std::function<Result<Tools>()> work = [this, &parts]() -> Result<Tools> {
    SABLE_TRY(auto fresh, tools_of(parts.setup.repository));
    SABLE_TRY_VOID(agent::offered_tools(fresh.registry, parts.setup.agent));
    return fresh;
  };
  auto fresh = co_await run_blocking(services_.workers, work);
  if (fresh) {
    parts.registry = std::move(fresh->registry);
    live.session->use_tools(parts.registry, std::move(fresh->notice));
  } else {
    std::string notice = "the tools stay as they were: " + fresh.error().message;
    services_.log.warning(notice);
    live.session->use_tools(parts.registry, std::move(notice));
  }
}

asio::awaitable<Result<agent::TurnResult>> AgentSessionHost::run_turn(
    std::string id, std::optional<std::string> prompt) {
  auto* found = live(id);
  if (found == nullptr) co_return fail(ErrorCode::not_found, "session " + id + " is not open here");
  if (found->turn_running) {
    co_return fail(ErrorCode::denied, "a turn of this session is already running");
  }
  found->turn_running = true;
  co_await reload_tools(*found);
  auto turn =
      prompt ? found->session->run_turn(std::move(*prompt)) : found->session->continue_turn();
  auto result = co_await std::move(turn);
  found->turn_running = false;
  forget_if_idle(id);
  co_return result;
}

void AgentSessionHost::interrupt(const std::string& id, std::string reason) {
  if (auto* found = live(id)) found->session->interrupt(std::move(reason));
}

std::vector<std::string> AgentSessionHost::opt_outs(const std::string& id) const {
  const auto it = live_.find(id);
  return it == live_.end() ? std::vector<std::string>() : it->second->parts.setup.opt_outs;
}

memory::TaskState AgentSessionHost::tasks(const std::string& id) const {
  const auto it = live_.find(id);
  return it == live_.end() ? memory::TaskState() : it->second->session->tasks();
}

asio::awaitable<Result<memory::SessionInfo>> AgentSessionHost::find(std::string id) {
  auto info = co_await services_.store.find(id);
  if (info && info->id != id) co_return fail(ErrorCode::not_found, "no session " + id);
  co_return info;
}

asio::awaitable<Result<std::vector<memory::SessionInfo>>> AgentSessionHost::list(size_t n_max) {
  return services_.store.list(n_max);
}

asio::awaitable<Result<std::vector<memory::Event>>> AgentSessionHost::read(std::string id,
                                                                           memory::Seq from,
                                                                           size_t n_max) {
  return services_.store.read(std::move(id), from, n_max);
}

}  // namespace sable::runtime
