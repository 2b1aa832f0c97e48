// `sable run`: one task to its end.
#include <csignal>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <unistd.h>

#include "base/task_group.h"
#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/loop.h"
#include "runtime/opt_outs.h"
#include "runtime/remembered_approvals.h"
#include "runtime/session_parts.h"
#include "runtime/terminal/permission_prompt.h"
#include "runtime/terminal/turn_printer.h"

namespace sable::runtime {

namespace {

constexpr size_t kTitleBytesMax = 80;
constexpr size_t kTaskBytesMax = size_t{1} << 20;

struct RunOptions {
  std::string task;
  std::string repository;
  std::string resume;
};

/// Watches a session for the person who typed the command, and asks them.
class CommandObserver : public agent::Observer {
 public:
  CommandObserver(const Program& program, std::filesystem::path home,
                  std::filesystem::path repository, asio::thread_pool& workers)
      : json_(program.json),
        workers_(workers),
        home_(std::move(home)),
        repository_(std::move(repository)),
        out_(1),
        err_(2),
        style_{program.colour(out_.is_terminal() ? 1 : 2)},
        person_(progress(), style_, progress().is_terminal()),
        machine_(out_) {}

  void on_event(const memory::Event& event) override {
    json_ ? machine_.on_event(event) : person_.on_event(event);
  }
  void on_preview(const agent::Preview& preview) override {
    if (!json_) person_.on_preview(preview);
  }
  asio::awaitable<agent::Permission> on_permission(agent::PermissionRequest request) override {
    if (::isatty(0) != 1) co_return agent::Permission::reject;
    const std::string tool = request.call.name;
    const auto answer = co_await ask_on_terminal(0, err_, style_, std::move(request));
    if (answer == agent::Permission::allow_always) {
      const std::function<Result<void>()> remember = [this, &tool] {
        return RememberedApprovals(home_).remember(repository_, tool);
      };
      const auto kept = co_await run_blocking(workers_, remember);
      if (!kept) err_.write("sable: not remembered: " + kept.error().message + "\n");
    }
    co_return answer;
  }

  asio::awaitable<std::optional<std::string>> on_question(agent::UserQuestion asked) override {
    if (::isatty(0) != 1) co_return std::nullopt;
    co_return co_await ask_question_on_terminal(0, err_, style_, std::move(asked.question));
  }

  /// The model's last words, for a reader that is not a terminal and has seen no progress.
  void finish(const agent::TurnResult& result) {
    if (!json_ && !out_.is_terminal() && !result.text.empty()) {
      out_.write(result.text + (result.text.ends_with('\n') ? "" : "\n"));
    }
  }

 private:
  /// People see progress where they look: the terminal, else standard error.
  Output& progress() { return out_.is_terminal() ? out_ : err_; }

  bool json_;
  asio::thread_pool& workers_;
  std::filesystem::path home_, repository_;
  Output out_, err_;
  Style style_;
  TurnPrinter person_;
  JsonPrinter machine_;
};

std::string title_of(const std::string& task) {
  const auto line = task.substr(0, task.find('\n'));
  return to_utf8(line.substr(0, utf8_prefix(line, kTitleBytesMax)));
}

int exit_status(const Loop& loop, const agent::TurnResult& result) {
  if (loop.stop_signal()) return 128 + *loop.stop_signal();
  return result.status == "finished" ? 0 : 1;
}

asio::awaitable<int> run_turn(const Program& program, Loop& loop, const RunOptions& options,
                              const SessionParts& parts, agent::Services services,
                              CommandObserver& observer) {
  Result<std::unique_ptr<agent::Session>> session = fail(ErrorCode::cancelled, "not opened");
  if (options.resume.empty()) {
    session = co_await agent::Session::create(services, parts.setup, *parts.provider,
                                              parts.registry, title_of(options.task));
  } else {
    session = co_await agent::Session::resume(services, parts.setup, *parts.provider,
                                              parts.registry, options.resume);
  }
  if (!session) co_return program.fail_with(session.error());
  auto& live = **session;
  if (options.resume.empty()) {
    // What was logged before anybody could watch.
    const auto first = co_await services.store.read(live.id(), 1, 100);
    if (!first) co_return program.fail_with(first.error());
    for (const auto& event : *first) observer.on_event(event);
  }
  live.add_observer(observer);
  if (!program.json) std::fprintf(stderr, "session %s\n", live.id().c_str());
  loop.on_stop([&live](int signal) {
    live.interrupt(signal == SIGINT ? "the user pressed Ctrl-C" : "the program was asked to stop");
  });
  const auto result = co_await live.run_turn(options.task);
  loop.on_stop({});
  live.remove_observer(observer);
  co_await live.close();
  if (!result) co_return program.fail_with(result.error());
  observer.finish(*result);
  if (result->status != "finished") {
    std::fprintf(stderr, "sable: %s: %s\n", result->status.c_str(),
                 escape_controls(result->reason).c_str());
  }
  co_return exit_status(loop, *result);
}

/// The task's text: as given, or from standard input when it is "-".
Result<std::string> read_task(const std::string& given) {
  if (given != "-") return given;
  std::string text(kTaskBytesMax + 1, '\0');
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::cin.gcount()));
  if (text.size() > kTaskBytesMax) {
    return fail(ErrorCode::invalid_input, "the task on standard input is larger than 1 MiB");
  }
  return text;
}

int run_action(const Program& program, RunOptions options) {
  auto task = read_task(options.task);
  if (!task) return program.fail_with(task.error());
  options.task = std::move(*task);
  if (options.task.find_first_not_of(" \t\r\n") == std::string::npos) {
    return program.fail_with(
        {ErrorCode::invalid_input, "the task is empty; say what is to be done"}, 2);
  }
  const auto repository = resolve_repository(options.repository);
  if (!repository) return program.fail_with(repository.error());
  const auto loaded = program.load_config(*repository);
  if (!loaded) return program.fail_with(loaded.error());
  warn_of(opt_outs(*loaded, config::to_policy(*loaded, *repository)));
  // Before threads exist and a key is read.
  auto sandbox = program.start_sandbox();
  if (!sandbox) return program.fail_with(sandbox.error());
  const auto log = Log::to_stderr(*loaded->config.log_level);
  Loop loop;
  auto store = memory::Store::open(*loaded->config.home, {.log = log});
  if (!store) return program.fail_with(store.error());
  Models models((*store)->home(), log);
  auto parts = make_session_parts(program, *loaded, *repository, {models, loop.workers()}, log);
  if (!parts) return program.fail_with(parts.error());
  if (parts->setup.approval == agent::ApprovalMode::ask && ::isatty(0) != 1) {
    parts->setup.approval = agent::ApprovalMode::none;
  }

  CommandObserver observer(program, *loaded->config.home, *repository, loop.workers());
  const agent::Services services{.store = **store,
                                 .sandbox = **sandbox,
                                 .workers = loop.workers(),
                                 .clock = system_clock(),
                                 .log = log};
  return loop.run(run_turn(program, loop, options, *parts, services, observer));
}

}  // namespace

void add_run_command(CLI::App& app, Program& program, Action& chosen) {
  auto* command = app.add_subcommand("run", "Give an agent one task on a repository");
  const auto options = std::make_shared<RunOptions>();
  command->add_option("task", options->task, "What is to be done; - reads it from standard input")
      ->required();
  command->add_option("--repo", options->repository, "The repository (default: here)")
      ->type_name("DIR");
  command->add_option("--resume", options->resume, "Go on with this session instead of a new one")
      ->type_name("ID");
  add_model_settings(*command, program);
  add_setting(*command, program, "--agent", "agent", "The agent's configuration")
      ->type_name("NAME");
  add_setting(*command, program, "--approve", "approve",
              "Who decides about tools that ask: ask, all or none")
      ->type_name("MODE");
  add_setting(*command, program, "--network", "sandbox.network",
              "Whom tools may talk to: none, loopback, allow (sandbox.allowed_hosts) or open")
      ->type_name("MODE");
  add_no_sandbox(*command, program);
  add_setting(*command, program, "--max-steps", "limits.steps", "At most so many model replies")
      ->type_name("N");
  add_setting(*command, program, "--timeout", "limits.time", "Seconds until the turn is ended", "s")
      ->type_name("S");
  command->add_flag("--json", program.json, "One event an object a line (docs/events.md)");
  command->callback([options, &chosen] {
    chosen = [options](const Program& running) { return run_action(running, *options); };
  });
}

}  // namespace sable::runtime
