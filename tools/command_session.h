// The sandbox session of a workspace: its shell calls share it, and its background processes live
// in it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/asio.h"
#include "sandbox/sandbox.h"
#include "tools/terminal_screen.h"

namespace sable::tools {

/// The screen of a program that has a terminal; a worker draws on it while others may look.
struct SharedScreen {
  explicit SharedScreen(sandbox::TerminalSize size) : screen(size.columns, size.rows) {}

  std::mutex mutex;
  TerminalScreen screen;
};

/// A program that runs on beside other calls.
struct BackgroundCommand {
  std::shared_ptr<sandbox::Process> process;
  std::string text;                      ///< the command line, for people and models
  std::shared_ptr<SharedScreen> screen;  ///< null: it has no terminal
};

/// Opened by the first call that needs it. One thread: the loop's. close() must have completed
/// before destruction if start() was used.
class CommandSession {
 public:
  static constexpr size_t kProcessesMax = 8;

  explicit CommandSession(sandbox::Policy policy) : policy_(std::move(policy)) {}

  /// As sandbox::Session::run(). After an error the next call opens a session anew, unless a
  /// background process keeps this one.
  asio::awaitable<Result<sandbox::RunResult>> run(sandbox::Sandbox& sandbox,
                                                  sandbox::Command command,
                                                  sandbox::OutputSink output);

  /// The id of the started program: "p1", "p2", ... exhausted: kProcessesMax are running.
  asio::awaitable<Result<std::string>> start(sandbox::Sandbox& sandbox, sandbox::Command command,
                                             std::string text, bool terminal);

  /// A copy, since it may be forgotten while somebody waits for it; not_found names those that
  /// there are.
  Result<BackgroundCommand> find(const std::string& id) const;
  void forget(const std::string& id) { processes_.erase(id); }

  /// Ends all that runs in it and waits until it is gone.
  asio::awaitable<void> close();

 private:
  asio::awaitable<Result<void>> open(sandbox::Sandbox& sandbox);
  asio::awaitable<void> drop_unless_used();
  size_t n_running() const;

  const sandbox::Policy policy_;
  std::unique_ptr<sandbox::Session> session_;
  std::map<std::string, BackgroundCommand> processes_;
  int n_started_ = 0;
};

}  // namespace sable::tools
