// Sessions that play a script, for tests of front ends: no model, no store, no tools.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/server/session_host.h"

namespace sable::test {

/// One thing that happens in a turn.
struct Act {
  enum class Kind { event, preview, ask, wait };
  Kind kind = Kind::event;
  std::string type;        ///< of an event
  Json data;               ///< of an event
  agent::Preview preview;  ///< of a preview
  std::string tool;        ///< of ask: its answer becomes an event "approval.decided"

  static Act event(std::string type, Json data);
  static Act text(int step, std::string text);
  static Act output(std::string call_id, std::string text);
  static Act ask(std::string tool);
  static Act wait();  ///< until release() or an interruption
};

/// Keeps its sessions' events in memory; every turn begins with "turn.started" and ends with
/// "turn.ended". An interruption ends a turn at its next act. Lives on the loop's thread.
class ScriptedSessionHost final : public runtime::SessionHost {
 public:
  std::deque<std::vector<Act>> turns;  ///< taken in order; none left: a turn that says nothing
  agent::TurnResult result{.status = "finished", .text = "done"};
  Error read_error{ErrorCode::io, ""};  ///< answers read() when it has a message

  /// A session with a past that is not live.
  void add_past(const std::string& id, const std::filesystem::path& cwd, size_t n_events,
                const std::string& type = "note.added", const Json& data = Json::object());
  void append(const std::string& id, const std::string& type, Json data);
  void preview(const std::string& id, const agent::Preview& preview);
  void release();
  size_t n_events(const std::string& id) const;
  std::vector<std::string> interruptions;
  std::vector<std::string> prompts;  ///< "(goes on)" for a turn without one
  std::set<std::string> owned_elsewhere;
  std::vector<std::string> opted_out;  ///< of all sessions

  asio::awaitable<Result<std::string>> create_session(std::filesystem::path cwd) override;
  asio::awaitable<Result<void>> open_session(std::string id) override;
  void add_observer(const std::string& id, agent::Observer& observer) override;
  void remove_observer(const std::string& id, agent::Observer& observer) override;
  asio::awaitable<Result<agent::TurnResult>> run_turn(std::string id,
                                                      std::optional<std::string> prompt) override;
  void interrupt(const std::string& id, std::string reason) override;
  std::vector<std::string> opt_outs(const std::string&) const override { return opted_out; }
  memory::TaskState tasks(const std::string& id) const override;
  asio::awaitable<Result<memory::SessionInfo>> find(std::string id) override;
  asio::awaitable<Result<std::vector<memory::SessionInfo>>> list(size_t n_max) override;
  asio::awaitable<Result<std::vector<memory::Event>>> read(std::string id, memory::Seq from,
                                                           size_t n_max) override;

 private:
  struct Scripted {
    std::filesystem::path cwd;
    std::vector<memory::Event> events;
    std::vector<agent::Observer*> observers;
    bool live = false;
    bool running = false;
    bool interrupted = false;
    asio::steady_timer* waiting = nullptr;
    asio::cancellation_signal* asking = nullptr;
  };
  asio::awaitable<agent::Permission> ask(Scripted& session, agent::PermissionRequest request);
  memory::SessionInfo info_of(const std::string& id, const Scripted& session) const;

  std::map<std::string, Scripted> sessions_;
};

}  // namespace sable::test
