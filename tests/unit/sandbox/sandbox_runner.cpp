#include "tests/unit/sandbox/sandbox_runner.h"

#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/unique_fd.h"

namespace sable::test {

namespace {

namespace fs = std::filesystem;

// Of a file of /proc, whose process may end at any moment: then what could be read.
std::string content_of(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  std::string content;
  char buffer[4096];
  for (ssize_t n = 0; fd && (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
    content.append(buffer, static_cast<size_t>(n));
  }
  return content;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

struct ProcessStat {
  pid_t pid = 0, parent = 0;
  std::string name;
  char state = '?';
};

std::optional<ProcessStat> stat_of(const fs::path& process) {
  if (!is_number(process.filename())) return std::nullopt;
  const std::string text = content_of(process / "stat");
  const size_t open = text.find('('), close = text.rfind(')');
  ProcessStat stat;
  if (close == std::string::npos ||
      std::sscanf(text.c_str() + close, ") %c %d", &stat.state, &stat.parent) != 2) {
    return std::nullopt;
  }
  stat.pid = std::stoi(text);
  stat.name = text.substr(open + 1, close - open - 1);
  return stat;
}

}  // namespace

SandboxRunner::SandboxRunner(const std::string& launcher, bool memory_cgroups) {
  auto started =
      sandbox::Sandbox::start(std::string(SABLE_BINARY_DIR) + "/" + launcher, memory_cgroups);
  INFO((started ? "" : started.error().message));
  REQUIRE(started);
  sandbox_ = std::move(*started);
}

Outcome SandboxRunner::run(std::vector<std::string> argv, sandbox::Policy policy,
                           std::string stdin_data) {
  policy.writable.insert(policy.writable.begin(), folder_.path());
  asio::io_context loop;
  Outcome outcome;
  const auto sink = [&](sandbox::Stream stream, std::string_view bytes) {
    (stream == sandbox::Stream::standard_output ? outcome.output : outcome.errors) += bytes;
  };
  sandbox::Command command{.argv = std::move(argv), .stdin_data = std::move(stdin_data)};
  asio::co_spawn(loop, sandbox_->run(std::move(policy), std::move(command), sink),
                 [&](const std::exception_ptr& failure, Result<sandbox::RunResult> result) {
                   if (failure) std::rethrow_exception(failure);
                   outcome.result = std::move(result);
                 });
  loop.run();
  return outcome;
}

Outcome SandboxRunner::shell(const std::string& script, sandbox::Policy policy) {
  return run({"/bin/sh", "-c", script}, std::move(policy));
}

SessionRunner::SessionRunner(SandboxRunner& runner, sandbox::Policy policy) {
  policy.writable.insert(policy.writable.begin(), runner.folder().path());
  std::string error;
  asio::co_spawn(loop_, runner.box().open_session(std::move(policy)),
                 [&](const std::exception_ptr&, Result<std::unique_ptr<sandbox::Session>> opened) {
                   if (!opened) error = opened.error().message;
                   if (opened) session_ = std::move(*opened);
                 });
  while (!session_ && error.empty() && loop_.run_one() > 0) {
  }
  INFO(error);
  REQUIRE(session_);
}

SessionRunner::~SessionRunner() {
  bool closed = false;
  asio::co_spawn(loop_, session_->close(), [&](const std::exception_ptr&) { closed = true; });
  loop_.restart();
  while (!closed && loop_.run_one() > 0) {
  }
}

Outcome SessionRunner::run(std::vector<std::string> argv) {
  return std::move(run_together({std::move(argv)}).front());
}

std::vector<Outcome> SessionRunner::run_together(
    const std::vector<std::vector<std::string>>& commands) {
  std::vector<Outcome> outcomes(commands.size());
  size_t n_done = 0;
  for (size_t i = 0; i < commands.size(); ++i) {
    Outcome& outcome = outcomes[i];
    const auto sink = [&outcome](sandbox::Stream stream, std::string_view bytes) {
      (stream == sandbox::Stream::standard_output ? outcome.output : outcome.errors) += bytes;
    };
    asio::co_spawn(
        loop_, session_->run({.argv = commands[i]}, sink),
        [&outcome, &n_done](const std::exception_ptr& failure, Result<sandbox::RunResult> result) {
          if (failure) std::rethrow_exception(failure);
          outcome.result = std::move(result);
          ++n_done;
        });
  }
  loop_.restart();
  while (n_done < outcomes.size() && loop_.run_one() > 0) {
  }
  return outcomes;
}

std::string unique_marker() {
  static int count = 0;
  return "sable-marker-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

int processes_with(const std::string& marker) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!is_number(name) || name == std::to_string(::getpid())) continue;
    if (content_of(entry.path() / "cmdline").find(marker) != std::string::npos ||
        content_of(entry.path() / "environ").find(marker) != std::string::npos) {
      ++count;
    }
  }
  return count;
}

bool all_gone(const std::string& marker) {
  for (int tries = 0; tries < 200; ++tries) {
    if (processes_with(marker) == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

int open_descriptors() {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

bool is_alive(pid_t pid) {
  const auto process = stat_of("/proc/" + std::to_string(pid));
  return process && process->state != 'Z';
}

pid_t launcher_of(pid_t parent) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto process = stat_of(entry.path());
    // Also those that leave a layer out; the kernel cuts names off.
    if (process && process->parent == parent && process->name.rfind("sable-launcher", 0) == 0)
      return process->pid;
  }
  return -1;
}

int children_of(pid_t parent) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto process = stat_of(entry.path());
    if (process && process->parent == parent) ++count;
  }
  return count;
}

}  // namespace sable::test
