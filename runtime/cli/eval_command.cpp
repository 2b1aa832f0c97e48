// `sable eval agent`: measures an agent with a model on tasks.
#include <cstdio>

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/eval/plan.h"
#include "runtime/eval/scores.h"
#include "runtime/loop.h"
#include "runtime/opt_outs.h"
#include "runtime/session_parts.h"
#include "runtime/terminal/output.h"
#include "runtime/work_folder.h"

namespace sable::runtime {

namespace {

namespace fs = std::filesystem;

struct EvalOptions {
  std::vector<std::string> tasks;
  size_t count = 20, n_jobs = 1;
  uint64_t seed = 1;
  bool new_wordings = false;
  std::string work, code;
};

/// A line for each task that is done, and on a terminal a bar below them.
class Progress {
 public:
  Progress(Output& out, Style style, size_t n_tasks) : out_(out), style_(style), n_(n_tasks) {}

  void begin() { bar(); }
  void done(const TaskReport& report, const Scores& scores) {
    n_done_ = scores.n();
    n_passed_ = scores.n_passed();
    clear();
    out_.write(fmt::format(
        "{}  {:<10}  {:5.1f} s{}\n", report.passed ? style_.green("passed") : style_.red("failed"),
        escape_controls(report.name), std::chrono::duration<double>(report.end.turn.wall).count(),
        report.passed ? "" : "  " + escape_controls(report.why)));
    bar();
  }
  void clear() {
    if (out_.is_terminal()) out_.write("\r\x1b[K");  // ECMA-48: erase to the end
  }

 private:
  void bar() {
    constexpr size_t kWidth = 32;
    if (!out_.is_terminal() || n_done_ == n_) return;
    const std::string filled(kWidth * n_done_ / std::max<size_t>(n_, 1), '#');
    out_.write(fmt::format("[{:<{}}] {} of {}, {} passed", filled, kWidth, n_done_, n_, n_passed_));
  }

  Output& out_;
  Style style_;
  size_t n_, n_done_ = 0, n_passed_ = 0;
};

/// What the workers share; all on the loop's thread but for the bench.
struct Evaluation {
  const Program& program;
  const EvalOptions& options;
  const fs::path& work;
  const std::vector<PlannedTask>& plan;
  evaluation::Workbench& bench;
  asio::thread_pool& teacher;  ///< one thread: the bench is one
  agent::Services services;
  Models& models;
  sandbox::Policy check_policy;
  const evaluation::RepositorySource& source;
  const evaluation::RealCode* code;  ///< the source, if it is real
  Progress& progress;
  Output& out;

  size_t next = 0;
  Scores scores;
  std::string agent, model;
  std::optional<Error> failure;
};

asio::awaitable<Result<TaskReport>> run_made_task(Evaluation& e, const PlannedTask& planned) {
  using Made = Result<evaluation::MadeTask>;
  const std::function<Made()> make = [&] {
    const evaluation::World world{
        .names = evaluation::Split::test,
        .wordings = e.options.new_wordings ? evaluation::Split::test : evaluation::Split::training,
        .source = e.source};
    return evaluation::make_task(planned.family, e.options.seed, planned.number, world, e.bench);
  };
  auto made = co_await run_blocking(e.teacher, make);
  if (!made) co_return fail(std::move(made.error()));
  const evaluation::MadeTask& task = *made;
  const fs::path root = e.work / task.name / task.repository;
  const std::function<Result<void>()> lay_out = [&]() -> Result<void> {
    SABLE_TRY_VOID(evaluation::write_files(task.before, root));
    return evaluation::commit_all(root);
  };
  SABLE_CO_TRY_VOID(co_await run_blocking(e.services.workers, lay_out));
  TaskReport report{.name = task.name,
                    .family = task.family,
                    .repository = task.repository,
                    .instruction = task.instruction};
  Trial trial{.repository = root, .name = task.name, .instruction = task.instruction};
  SABLE_CO_TRY(report.end, co_await run_trial(e.program, e.services, e.models, std::move(trial)));
  using Read = Result<evaluation::Files>;
  const std::function<Read()> read = [&] { return evaluation::read_files(root); };
  auto files = co_await run_blocking(e.services.workers, read);
  if (!files) {
    report.why = files.error().message;  // a model may leave more than can be looked at
    co_return report;
  }
  const auto verdict =
      evaluation::judge(task, {report.end.turn.status, report.end.turn.text, std::move(*files)});
  report.passed = verdict.passed;
  report.why = verdict.why;
  if (verdict.needs_check) {
    evaluation::CheckScript check{.script = task.truth.check, .repository = root};
    SABLE_CO_TRY(const auto checked, co_await evaluation::run_check(
                                         e.services.sandbox, e.check_policy, std::move(check)));
    report.passed = checked.passed;
    report.why = checked.passed ? "" : verdict.why + "; " + checked.why;
  }
  co_return report;
}

asio::awaitable<Result<TaskReport>> run_folder_task(Evaluation& e, const PlannedTask& planned) {
  const evaluation::TaskFolder& task = *planned.folder;
  const fs::path root = e.work / planned.family / task.name;
  const std::function<Result<void>()> copy = [&] {
    return evaluation::copy_repository(task, root);
  };
  SABLE_CO_TRY_VOID(co_await run_blocking(e.services.workers, copy));
  TaskReport report{.name = task.name, .family = planned.family, .instruction = task.instruction};
  Trial trial{.repository = root, .name = task.name, .instruction = task.instruction};
  SABLE_CO_TRY(report.end, co_await run_trial(e.program, e.services, e.models, std::move(trial)));
  if (report.end.turn.status != "finished") {
    report.why = "the turn did not finish: " + report.end.turn.status;
    co_return report;
  }
  evaluation::CheckScript check{.script = task.check,
                                .repository = root,
                                .task = task.folder,
                                .answer = report.end.turn.text};
  SABLE_CO_TRY(const auto checked, co_await evaluation::run_check(
                                       e.services.sandbox, e.check_policy, std::move(check)));
  report.passed = checked.passed;
  report.why = checked.why;
  co_return report;
}

/// Takes one task after the other until none is left, one fails to run at all, or we are stopped.
asio::awaitable<void> work(Evaluation& e) {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (e.next < e.plan.size() && !e.failure) {
    const PlannedTask& planned = e.plan[e.next++];
    auto running = planned.folder ? run_folder_task(e, planned) : run_made_task(e, planned);
    auto report = co_await std::move(running);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;
    if (!report) {
      if (!e.failure) e.failure = std::move(report.error());
      co_return;
    }
    e.agent = report->end.agent;
    e.model = report->end.model;
    e.scores.add(*report);
    if (e.program.json) e.out.write(dump_json(to_json(*report)) + "\n");
    e.progress.done(*report, e.scores);
  }
}

/// What the real code was, and how much of it was used: nothing is left out silently.
Json packages_json(const Evaluation& e) {
  Json packages = Json::array();
  for (const auto& package : e.code->packages()) {
    packages.push_back({{"name", package.name},
                        {"files", package.files.size()},
                        {"files_left_out", package.n_left_out},
                        {"tasks", e.scores.n_on(package.name)}});
  }
  return packages;
}

std::string packages_text(const Evaluation& e) {
  std::string text = "\npackages:\n";
  for (const auto& package : e.code->packages()) {
    text += fmt::format("  {:<32} {:>5} tasks, {} files, {} too long or not plain text\n",
                        escape_controls(package.name), e.scores.n_on(package.name),
                        package.files.size(), package.n_left_out);
  }
  return text;
}

asio::awaitable<int> evaluate(Evaluation& e, Loop& loop) {
  TaskGroup group(loop.executor());
  e.progress.begin();
  for (size_t i = 0; i < e.options.n_jobs; ++i) group.spawn(work(e));
  co_await group.join();
  e.progress.clear();
  if (e.program.json) {
    Json summary = e.scores.to_json();
    summary["model"] = e.model;
    summary["agent"] = e.agent;
    summary["seed"] = e.options.seed;
    summary["new_wordings"] = e.options.new_wordings;
    if (e.code != nullptr) summary["packages"] = packages_json(e);
    summary["complete"] = e.scores.n() == e.plan.size();
    e.out.write(dump_json(Json{{"summary", std::move(summary)}}) + "\n");
  } else if (e.scores.n() > 0) {
    const Style style{e.program.colour(1)};
    e.out.write(fmt::format("model {}, agent {}, seed {}\n\n{}", e.model, e.agent, e.options.seed,
                            e.scores.to_text(style)));
    if (e.code != nullptr) e.out.write(packages_text(e));
  }
  if (e.failure) co_return e.program.fail_with(*e.failure);
  co_return loop.stop_signal() ? 128 + *loop.stop_signal() : 0;
}

int eval_action(const Program& given, const EvalOptions& options) {
  std::optional<evaluation::RealCode> code;
  if (!options.code.empty()) {
    auto read = evaluation::RealCode::read(options.code);
    if (!read) return given.fail_with(read.error());
    code = std::move(*read);
  }
  const auto plan = plan_tasks(options.tasks, options.count, code.has_value());
  if (!plan) return given.fail_with(plan.error());
  const auto folder = options.work.empty() ? WorkFolder::temporary(given.variable("TMPDIR"))
                                           : WorkFolder::named(options.work);
  if (!folder) return given.fail_with(folder.error());
  const fs::path& root = (*folder)->path();
  // Sessions of an evaluation do not belong among the user's own.
  Program program = given;
  program.flags.push_back({"--work", "home", (root / "home").string()});
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  // Before threads exist and a key is read.
  auto sandbox = program.start_sandbox();
  if (!sandbox) return program.fail_with(sandbox.error());
  auto teachers_sandbox = program.start_sandbox();
  if (!teachers_sandbox) return program.fail_with(teachers_sandbox.error());
  const auto log = Log::to_stderr(*loaded->config.log_level);
  auto bench = evaluation::Workbench::open(root / "teacher", std::move(*teachers_sandbox));
  if (!bench) return program.fail_with(bench.error());
  asio::thread_pool teacher{1};
  Loop loop(static_cast<unsigned>(options.n_jobs) + 1);
  auto store = memory::Store::open(*loaded->config.home, {.log = log});
  if (!store) return program.fail_with(store.error());
  Models models;
  // Opens the model, and says once what does not fit; each task's own parts are made of the same.
  const auto parts = make_session_parts(program, *loaded, root, {models, loop.workers()}, log);
  if (!parts) return program.fail_with(parts.error());
  warn_of(parts->setup.opt_outs);
  Output out(1), err(2);
  Progress progress(err, Style{program.colour(2)}, plan->size());
  const evaluation::MadeUpCode made_up;
  Evaluation evaluation{
      .program = program,
      .options = options,
      .work = root,
      .plan = *plan,
      .bench = **bench,
      .teacher = teacher,
      .services = {.store = **store,
                   .sandbox = **sandbox,
                   .workers = loop.workers(),
                   .clock = system_clock(),
                   .log = Log::none()},
      .models = models,
      .check_policy = parts->setup.policy,
      .source = code ? static_cast<const evaluation::RepositorySource&>(*code) : made_up,
      .code = code ? &*code : nullptr,
      .progress = progress,
      .out = out};
  const int status = loop.run(evaluate(evaluation, loop));
  const int written = program.status_once_written(out);
  return status != 0 ? status : written;
}

}  // namespace

void add_eval_commands(CLI::App& app, Program& program, Action& chosen) {
  auto* group = app.add_subcommand("eval", "Measure what comes out");
  group->require_subcommand(1);
  auto* command = group->add_subcommand(
      "agent", "An agent with a model on tasks, judged by what it leaves (docs/evaluation.md)");
  const auto options = std::make_shared<EvalOptions>();
  command
      ->add_option("--tasks", options->tasks,
                   "Families (find, rename, set, add, fix, report, run, refuse) or folders of "
                   "tasks; default: all families")
      ->type_name("FAMILY|DIR");
  command->add_option("--count", options->count, "Tasks of each family")
      ->check(CLI::Range(size_t{1}, size_t{100'000}))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "The same seed makes the same tasks")
      ->capture_default_str();
  command
      ->add_option(
          "--code", options->code,
          "A folder with a folder of source code for each package: made tasks are on a few "
          "of its files (find, rename, set, add, report)")
      ->type_name("DIR");
  command->add_flag("--new-wordings", options->new_wordings,
                    "Ask in sentences that no training uses; names are new in any case");
  command->add_option("--jobs", options->n_jobs, "Sessions at once")
      ->check(CLI::Range(size_t{1}, size_t{256}))
      ->capture_default_str();
  command
      ->add_option("--work", options->work,
                   "An empty folder for repositories and sessions, which stay there; default: a "
                   "temporary one, which does not")
      ->type_name("DIR");
  add_model_settings(*command, program);
  add_setting(*command, program, "--agent", "agent", "The agent's configuration")
      ->type_name("NAME");
  add_setting(*command, program, "--temperature", "sampling.temperature",
              "0: always the likeliest token; default: as the model's card says")
      ->type_name("T");
  add_setting(*command, program, "--max-steps", "limits.steps", "At most so many model replies")
      ->type_name("N");
  add_setting(*command, program, "--timeout", "limits.time", "Seconds until a turn is ended", "s")
      ->type_name("S");
  command->add_flag("--json", program.json, "One object a task, then {\"summary\": ...}");
  command->callback([options, &chosen] {
    chosen = [options](const Program& running) { return eval_action(running, *options); };
  });
}

}  // namespace sable::runtime
