// `sable run`: one task to its end.
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <iterator>
#include <unistd.h>

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/loop.h"
#include "runtime/opt_outs.h"
#include "runtime/remembered_approvals.h"
#include "runtime/retention_beside.h"
#include "runtime/session_parts.h"
#include "runtime/terminal/permission_prompt.h"
#include "runtime/terminal/turn_printer.h"

namespace sable::runtime {

namespace {

constexpr size_t kTitleBytesMax = 80;
constexpr size_t kTaskBytesMax = size_t{1} << 20;
constexpr size_t kEventsPerRead = 100;

struct RunOptions {
  std::optional<std::string> task;  ///< none: what the session has not finished
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
    const auto answer = co_await ask_on_terminal(0, progress(), style_, std::move(request));
    if (answer == agent::Permission::allow_always) {
      const std::function<Result<void>()> remember = [this, &tool] {
        return RememberedApprovals(home_).remember(repository_, tool);
      };
      const auto kept = co_await run_blocking(workers_, remember);
      if (!kept) tell("sable: not remembered: " + escape_controls(kept.error().message) + "\n");
    }
    co_return answer;
  }

  asio::awaitable<std::optional<std::string>> on_question(agent::UserQuestion asked) override {
    if (::isatty(0) != 1) co_return std::nullopt;
    co_return co_await ask_question_on_terminal(0, progress(), style_, std::move(asked.question));
  }

  /// For standard error, in order with all else: where that is the terminal that shows the
  /// progress, two writers would mix their lines.
  void tell(const std::string& text) { (err_.is_terminal() ? progress() : err_).write(text); }

  /// The model's last words, for a reader that is not a terminal and has seen no progress; and why
  /// the turn is not finished, for one that has not seen the summary say so.
  void finish(const agent::TurnResult& result, const std::string& session) {
    if (!json_ && !out_.is_terminal() && !result.text.empty()) {
      out_.write(result.text + (result.text.ends_with('\n') ? "" : "\n"));
    }
    const bool summary_shown = !json_ && err_.is_terminal();
    if (result.status != "finished" && !summary_shown) {
      tell("sable: " + result.status + ": " + escape_controls(result.reason) + "\n");
    }
    if (!json_ && (result.status == "interrupted" || result.status == "limit")) {
      tell("go on with it: sable run --resume " + session + "\n");
    }
  }

  /// Waits until all is written; whether what was meant for standard output has arrived there.
  Result<void> drain() {
    (void)err_.drain();
    return out_.drain();
  }

 private:
  /// People see progress where they look: the terminal, else standard error. With --json standard
  /// output is the machine's.
  Output& progress() { return out_.is_terminal() && !json_ ? out_ : err_; }

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

/// What the log has from `from` on: what was written before anybody could watch.
asio::awaitable<Result<void>> show_from(memory::Store& store, std::string id, memory::Seq from,
                                        CommandObserver& observer) {
  while (true) {
    SABLE_CO_TRY(const auto events, co_await store.read(id, from, kEventsPerRead));
    if (events.empty()) co_return Result<void>();
    for (const auto& event : events) observer.on_event(event);
    from = events.back().seq + 1;
  }
}

agent::BrokenTurn broken_turn(const RunOptions& options) {
  return options.task ? agent::BrokenTurn::ended : agent::BrokenTurn::kept;
}

/// The session that the command is about, with its beginning or, when it goes on, what was repaired
/// of it shown.
asio::awaitable<Result<std::unique_ptr<agent::Session>>> open_session(
    const RunOptions& options, const std::optional<memory::SessionInfo>& resumed,
    const SessionParts& parts, const agent::Services& services, CommandObserver& observer) {
  std::unique_ptr<agent::Session> session;
  if (resumed) {
    SABLE_CO_TRY(session, co_await agent::Session::resume(services, parts.setup, *parts.provider,
                                                          parts.registry, resumed->id,
                                                          broken_turn(options)));
  } else {
    SABLE_CO_TRY(session, co_await agent::Session::create(services, parts.setup, *parts.provider,
                                                          parts.registry, title_of(*options.task)));
  }
  const memory::Seq from = resumed ? resumed->n_events + 1 : 1;
  SABLE_CO_TRY_VOID(co_await show_from(services.store, session->id(), from, observer));
  co_return session;
}

asio::awaitable<Result<agent::TurnResult>> run_turn(Loop& loop, const RunOptions& options,
                                                    agent::Session& session,
                                                    CommandObserver& observer) {
  session.add_observer(observer);
  loop.on_stop([&session](int signal) {
    session.interrupt(signal == SIGINT ? "the user pressed Ctrl-C"
                                       : "the program was asked to stop");
  });
  auto turn = options.task ? session.run_turn(*options.task) : session.continue_turn();
  auto result = co_await std::move(turn);
  loop.on_stop({});
  session.remove_observer(observer);
  co_await session.close();
  co_return result;
}

/// What the command works with once a sandbox, a store and a loop exist.
struct Room {
  const Program& program;
  Loop& loop;
  memory::Store& store;
  sandbox::Sandbox& sandbox;
  Models& models;
  Log log;
};

/// Old sessions may go meanwhile; this one has an owner by now, so it is none of them.
asio::awaitable<Result<agent::TurnResult>> run_turn_beside_retention(
    Room room, const RunOptions& options, const config::RetentionSettings& settings,
    agent::Session& session, CommandObserver& observer) {
  RetentionBeside retention(room.loop.executor(), room.store, settings, room.log);
  std::optional<Result<agent::TurnResult>> result;
  std::exception_ptr cut_off;  // Asio's cancellation must not pass by what still runs
  try {
    result = co_await run_turn(room.loop, options, session, observer);
  } catch (...) {
    cut_off = std::current_exception();
  }
  co_await retention.stop();
  if (cut_off) std::rethrow_exception(cut_off);
  co_return std::move(*result);
}

asio::awaitable<int> run_task(Room room, const RunOptions& options,
                              const std::optional<memory::SessionInfo>& resumed,
                              const ConfiguredRepository& place) {
  warn_of(opt_outs(place.loaded, config::to_policy(place.loaded, place.root)));
  const std::function<Result<SessionParts>()> assemble = [&] {
    return make_session_parts(room.program, place.loaded, place.root,
                              {room.models, room.loop.workers()}, room.log);
  };
  auto parts = co_await run_blocking(room.loop.workers(), assemble);
  if (!parts) co_return room.program.fail_with(parts.error());
  if (parts->setup.approval == agent::ApprovalMode::ask && ::isatty(0) != 1) {
    parts->setup.approval = agent::ApprovalMode::unattended;
  }
  CommandObserver observer(room.program, *place.loaded.config.home, place.root,
                           room.loop.workers());
  const auto fail_with = [&](const Error& error) {
    (void)observer.drain();
    return room.program.fail_with(error);
  };
  const agent::Services services{.store = room.store,
                                 .sandbox = room.sandbox,
                                 .workers = room.loop.workers(),
                                 .clock = system_clock(),
                                 .log = room.log};
  auto session = co_await open_session(options, resumed, *parts, services, observer);
  if (!session) co_return fail_with(session.error());
  if (!room.program.json) observer.tell("session " + (*session)->id() + "\n");
  if (const auto& tasks = (*session)->tasks(); !room.program.json && !tasks.empty()) {
    observer.tell(escape_controls(memory::render_tasks(tasks)));
  }
  const auto result = co_await run_turn_beside_retention(
      room, options, place.loaded.config.retention, **session, observer);
  if (!result) co_return fail_with(result.error());
  observer.finish(*result, (*session)->id());
  const auto written = observer.drain();
  const int status = exit_status(room.loop, *result);
  if (!written && status == 0) co_return room.program.fail_with(written.error());
  co_return status;
}

/// The session that --resume names, which has its place; a --repo that says otherwise is refused.
Result<void> check_place(const RunOptions& options, const memory::SessionInfo& session) {
  if (options.repository.empty()) return {};
  SABLE_TRY(const auto named, resolve_repository(options.repository));
  if (named == session.working_directory) return {};
  return fail(ErrorCode::invalid_input,
              fmt::format("session {} works in {}, not in {}; leave --repo out to go on with it",
                          session.id, session.working_directory.string(), named.string()));
}

asio::awaitable<int> resume(Room room, const RunOptions& options) {
  const auto found = co_await room.store.find(options.resume);
  if (!found) co_return room.program.fail_with(found.error());
  if (const auto checked = check_place(options, *found); !checked) {
    co_return room.program.fail_with(checked.error());
  }
  const std::function<Result<ConfiguredRepository>()> configure = [&] {
    return configured_repository(room.program, found->working_directory.string());
  };
  const auto place = co_await run_blocking(room.loop.workers(), configure);
  if (!place) co_return room.program.fail_with(place.error());
  const std::optional<memory::SessionInfo> resumed = *found;
  co_return co_await run_task(room, options, resumed, *place);
}

asio::awaitable<int> begin(Room room, const RunOptions& options,
                           const ConfiguredRepository& place) {
  const std::optional<memory::SessionInfo> fresh;
  co_return co_await run_task(room, options, fresh, place);
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
  // A session that goes on has a repository of its own, which its record names; until that is read
  // only the user's own configuration counts.
  const bool resumes = !options.resume.empty();
  if (options.task) {
    auto task = read_task(*options.task);
    if (!task) return program.fail_with(task.error());
    options.task = std::move(*task);
    if (options.task->find_first_not_of(" \t\r\n") == std::string::npos) {
      return program.fail_with(
          {ErrorCode::invalid_input, "the task is empty; say what is to be done"}, 2);
    }
  } else if (!resumes) {
    return program.fail_with(
        {ErrorCode::invalid_input,
         "the task is missing: say what is to be done, or with --resume ID go on with what that "
         "session has not finished"},
        2);
  }
  std::optional<ConfiguredRepository> place;
  if (!resumes) {
    auto configured = configured_repository(program, options.repository);
    if (!configured) return program.fail_with(configured.error());
    place = std::move(*configured);
  }
  const auto loaded =
      resumes ? program.load_config(std::nullopt) : Result<config::LoadedConfig>(place->loaded);
  if (!loaded) return program.fail_with(loaded.error());
  // Before threads exist and a key is read.
  auto sandbox = program.start_sandbox();
  if (!sandbox) return program.fail_with(sandbox.error());
  const auto log = Log::to_stderr(*loaded->config.log_level);
  Loop loop;
  auto store = memory::Store::open(*loaded->config.home, {.log = log});
  if (!store) return program.fail_with(store.error());
  Models models((*store)->home(), log, *loaded->config.cache.size);
  const Room room{program, loop, **store, **sandbox, models, log};
  return loop.run(resumes ? resume(room, options) : begin(room, options, *place));
}

}  // namespace

void add_run_command(CLI::App& app, Program& program, Action& chosen) {
  auto* command = app.add_subcommand("run", "Give an agent one task on a repository");
  const auto options = std::make_shared<RunOptions>();
  command->add_option("task", options->task,
                      "What is to be done; - reads it from standard input; with --resume it may be "
                      "left out: the session goes on with what it has not finished");
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
