// The sessions that front ends are attached to: turns that outlive connections, and questions that
// any of the attached may answer.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>

#include "base/log.h"
#include "base/task_group.h"
#include "runtime/server/session_host.h"

namespace sable::runtime {

/// A front end's end of a live session. Called on the loop's thread; must not block.
class SessionWatcher {
 public:
  virtual ~SessionWatcher() = default;
  virtual void on_event(const memory::Event& event) = 0;
  virtual void on_preview(const std::string& session, const agent::Preview& preview) = 0;
  virtual void on_turn_end(const std::string& session, const Result<agent::TurnResult>& result) = 0;

  /// Puts a question to a person; the answer comes through LiveSessions::answer().
  virtual void ask(uint64_t question, const agent::PermissionRequest& request) = 0;
  virtual void ask(uint64_t question, const agent::UserQuestion& asked) = 0;
  /// The question is settled; an answer would come too late.
  virtual void withdraw(uint64_t question) = 0;
};

/// What somebody answered. `reject_always` holds for the tool as long as the session is live.
enum class PermissionAnswer { allow_once, allow_session, reject_once, reject_always };

/// An approval, or which choice of a model's question was taken, from 0.
using PersonsAnswer = std::variant<PermissionAnswer, size_t>;

struct LiveSessionsOptions {
  std::chrono::milliseconds permission_limit{std::chrono::minutes(10)};  ///< then it is a refusal
};

/// Lives on the loop's thread; `host` outlives it. stop() must have completed before destruction.
class LiveSessions {
 public:
  LiveSessions(SessionHost& host, asio::any_io_executor executor, LiveSessionsOptions options,
               Log log);
  ~LiveSessions();

  SessionHost& host() { return host_; }

  /// A fresh session, live.
  asio::awaitable<Result<std::string>> create(std::filesystem::path cwd);
  /// Makes a session live here, if it is not.
  asio::awaitable<Result<void>> open(std::string id);

  /// What is known of a live session; null when it is not live here.
  struct Facts {
    memory::SessionInfo info;  ///< as of when it became live
    memory::Seq last_seq = 0;  ///< newest event seen
    bool turn_running = false;
  };
  const Facts* facts(const std::string& id) const;

  /// Attaches to a live session, at most once; `watcher` is borrowed until unwatch(). A question
  /// that is open is put to the newcomer too.
  void watch(const std::string& id, SessionWatcher& watcher);
  /// Detaches from it, or from all. Whoever has not answered an open question has refused it.
  void unwatch(const std::string& id, SessionWatcher& watcher);
  void unwatch_all(SessionWatcher& watcher);

  /// Begins a turn; its end is told to all who watch by then. Errors: not_found (not live), denied
  /// (one is running).
  Result<void> start_turn(const std::string& id, std::optional<std::string> prompt);
  /// Nothing if no turn runs.
  void interrupt(const std::string& id, const std::string& reason);

  /// `nullopt`: this watcher has no valid answer. The first valid answer settles the question;
  /// without one from anybody it is refused.
  void answer(const std::string& id, uint64_t question, SessionWatcher& watcher,
              std::optional<PersonsAnswer> answer);

  /// Interrupts all turns and waits for their ends; afterwards no turn is started.
  asio::awaitable<void> stop(std::string reason);

 private:
  class Hub;
  asio::awaitable<Result<void>> make_live(std::string id);
  asio::awaitable<void> run_turn(Hub& hub, std::optional<std::string> prompt);
  Hub* find(const std::string& id) const;

  SessionHost& host_;
  asio::any_io_executor executor_;
  LiveSessionsOptions options_;
  Log log_;
  std::map<std::string, std::unique_ptr<Hub>> hubs_;
  uint64_t next_question_ = 1;
  bool stopping_ = false;
  TaskGroup turns_;
};

}  // namespace sable::runtime
