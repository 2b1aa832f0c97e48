// What the protocol needs from the program: sessions by id, on the loop's thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/agent.h"

namespace sable::runtime {

/// Owns the sessions that are live in this process and reads those that are not. Implemented over
/// agent::Session and memory::Store. All calls come from the loop's thread. A session is live once
/// create_session() or open_session() has succeeded for it, and stays so while it is observed or a
/// turn of it runs. A turn belongs to its session: nobody's going away ends it.
class SessionHost {
 public:
  virtual ~SessionHost() = default;

  /// A fresh session in the folder `cwd` (absolute); returns its id. Errors: not_found, denied (no
  /// such folder, or not ours to use), those of the store.
  virtual asio::awaitable<Result<std::string>> create_session(std::filesystem::path cwd) = 0;

  /// Makes an existing session live here; nothing if it is already. Errors: not_found; denied when
  /// another process owns it (says which and what to do).
  virtual asio::awaitable<Result<void>> open_session(std::string id) = 0;

  /// Watches a live session; `observer` is borrowed until it is removed. Ignored when not live.
  virtual void add_observer(const std::string& id, agent::Observer& observer) = 0;
  virtual void remove_observer(const std::string& id, agent::Observer& observer) = 0;

  /// One turn of a live session, to its end; without a prompt its newest one goes on
  /// (agent::Session::continue_turn). Denied when one is already running, or nothing is unfinished.
  virtual asio::awaitable<Result<agent::TurnResult>> run_turn(
      std::string id, std::optional<std::string> prompt) = 0;
  /// Ends the running turn as "interrupted"; nothing if none runs.
  virtual void interrupt(const std::string& id, std::string reason) = 0;

  /// Of a live session (empty otherwise): what protection the user does without, as sentences for
  /// people, and its goal, todos, decisions and notes.
  virtual std::vector<std::string> opt_outs(const std::string& id) const = 0;
  virtual memory::TaskState tasks(const std::string& id) const = 0;

  /// Facts of any session of this home, live or not. `id` is whole, not a prefix.
  virtual asio::awaitable<Result<memory::SessionInfo>> find(std::string id) = 0;
  virtual asio::awaitable<Result<std::vector<memory::SessionInfo>>> list(size_t n_max) = 0;
  /// Durable events from `from` on, in order, at most `n_max`; empty past the end.
  virtual asio::awaitable<Result<std::vector<memory::Event>>> read(std::string id, memory::Seq from,
                                                                   size_t n_max) = 0;
};

}  // namespace sable::runtime
