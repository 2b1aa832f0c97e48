// Sessions for the server: agent::Session behind the protocol's SessionHost.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/agent.h"
#include "base/task_group.h"
#include "runtime/program.h"
#include "runtime/server/session_host.h"
#include "runtime/session_parts.h"

namespace sable::runtime {

/// Owns the live sessions of this process. Each has its repository's own configuration layer, tools
/// and policy. One loop's thread.
class AgentSessionHost final : public SessionHost {
 public:
  /// `program`, `models` and what `services` refers to outlive it.
  AgentSessionHost(const Program& program, Models& models, agent::Services services,
                   asio::any_io_executor executor)
      : program_(program),
        models_(models),
        services_(std::move(services)),
        ending_(std::move(executor)) {}

  asio::awaitable<Result<std::string>> create_session(std::filesystem::path cwd) override;
  asio::awaitable<Result<void>> open_session(std::string id) override;
  void add_observer(const std::string& id, agent::Observer& observer) override;
  void remove_observer(const std::string& id, agent::Observer& observer) override;
  asio::awaitable<Result<agent::TurnResult>> run_turn(std::string id,
                                                      std::optional<std::string> prompt) override;
  void interrupt(const std::string& id, std::string reason) override;
  std::vector<std::string> opt_outs(const std::string& id) const override;
  memory::TaskState tasks(const std::string& id) const override;
  asio::awaitable<Result<memory::SessionInfo>> find(std::string id) override;
  asio::awaitable<Result<std::vector<memory::SessionInfo>>> list(size_t n_max) override;
  asio::awaitable<Result<std::vector<memory::Event>>> read(std::string id, memory::Seq from,
                                                           size_t n_max) override;

  /// Ends what tools left running in all sessions; no turn may be running. Must have completed
  /// before destruction.
  asio::awaitable<void> close();

 private:
  /// A session with all that it borrows; members are destroyed last to first.
  struct Live {
    SessionParts parts;
    std::unique_ptr<agent::Session> session;
    std::set<agent::Observer*> observers;
    bool turn_running = false;
  };

  /// What a session in this folder is made of. Reads files: called on a worker.
  asio::awaitable<Result<std::unique_ptr<Live>>> assemble(std::filesystem::path repository);
  /// The tools of a repository as its files and the user's are now.
  struct Tools {
    tools::Registry registry;
    std::string notice;  ///< for people: what was left out
  };
  Result<Tools> tools_of(const std::filesystem::path& repository) const;
  /// For the turn that begins.
  asio::awaitable<void> reload_tools(Live& live);

  void forget_if_idle(const std::string& id);
  static asio::awaitable<void> end(std::unique_ptr<Live> live);
  Live* live(const std::string& id);

  const Program& program_;
  Models& models_;
  agent::Services services_;
  std::map<std::string, std::unique_ptr<Live>> live_;
  TaskGroup ending_;  ///< sessions that nobody watches any more
};

}  // namespace sable::runtime
