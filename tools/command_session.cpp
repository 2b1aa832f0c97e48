#include "tools/command_session.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr sandbox::TerminalSize kTerminalSize{.columns = 120, .rows = 40};

}  // namespace

asio::awaitable<Result<void>> CommandSession::open(sandbox::Sandbox& sandbox) {
  if (session_) co_return Result<void>();
  SABLE_CO_TRY(session_, co_await sandbox.open_session(policy_));
  co_return Result<void>();
}

asio::awaitable<void> CommandSession::drop_unless_used() {
  if (session_ == nullptr || n_running() > 0) co_return;
  co_await session_->close();
  session_.reset();
}

asio::awaitable<Result<sandbox::RunResult>> CommandSession::run(sandbox::Sandbox& sandbox,
                                                                sandbox::Command command,
                                                                sandbox::OutputSink output) {
  SABLE_CO_TRY_VOID(co_await open(sandbox));
  auto ran = co_await session_->run(std::move(command), std::move(output));
  if (!ran) co_await drop_unless_used();
  co_return ran;
}

asio::awaitable<Result<std::string>> CommandSession::start(sandbox::Sandbox& sandbox,
                                                           sandbox::Command command,
                                                           std::string text, bool terminal) {
  if (n_running() >= kProcessesMax) {
    co_return fail(ErrorCode::exhausted,
                   fmt::format("{} processes run in the background already; stop one of them first",
                               kProcessesMax));
  }
  SABLE_CO_TRY_VOID(co_await open(sandbox));
  sandbox::ProcessOptions options;
  if (terminal) options.terminal = kTerminalSize;
  auto started = co_await session_->start(std::move(command), options);
  if (!started) {
    co_await drop_unless_used();
    co_return fail(std::move(started.error()));
  }
  std::string id = fmt::format("p{}", ++n_started_);
  BackgroundCommand command_started{
      .process = std::move(*started), .text = std::move(text), .screen = nullptr};
  if (terminal) command_started.screen = std::make_shared<SharedScreen>(kTerminalSize);
  processes_[id] = std::move(command_started);
  co_return id;
}

Result<BackgroundCommand> CommandSession::find(const std::string& id) const {
  const auto it = processes_.find(id);
  if (it != processes_.end()) return it->second;
  std::string known;
  for (const auto& [other, command] : processes_) {
    known += fmt::format("\n{}: {}", other, shown_line(command.text, 200));
  }
  return fail(ErrorCode::not_found,
              fmt::format("there is no process \"{}\"; {}", shown_path(id),
                          known.empty() ? "none is running" : "there are:" + known));
}

size_t CommandSession::n_running() const {
  return static_cast<size_t>(
      std::count_if(processes_.begin(), processes_.end(),
                    [](const auto& entry) { return entry.second.process->running(); }));
}

asio::awaitable<void> CommandSession::close() {
  processes_.clear();
  if (!session_) co_return;
  co_await session_->close();
  session_.reset();
}

}  // namespace sable::tools
