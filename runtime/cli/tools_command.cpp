// `sable tools`: the tools by hand.
#include <cstdio>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/review_by_hand.h"
#include "runtime/loop.h"
#include "runtime/opt_outs.h"
#include "runtime/session_parts.h"
#include "runtime/terminal/style.h"

namespace sable::runtime {

namespace {

struct ToolsOptions {
  std::string repository;
  std::string name;
  std::string arguments = "{}";
  std::string file;
  Apply apply = Apply::ask;  ///< of changes that the tool's policy keeps apart
};

int list_action(const Program& program, const ToolsOptions& options) {
  const auto repository = resolve_repository(options.repository);
  if (!repository) return program.fail_with(repository.error());
  const auto loaded = program.load_config(*repository);
  if (!loaded) return program.fail_with(loaded.error());
  const auto trusted = check_trust(*loaded, *repository);
  if (!trusted) return program.fail_with(trusted.error());
  if (!trusted->notice.empty()) std::fprintf(stderr, "sable: %s\n", trusted->notice.c_str());
  const auto registry = make_registry(*loaded, *repository, *trusted);
  if (!registry) return program.fail_with(registry.error());
  const auto always = always_allowed(*loaded, *repository);
  if (!always) return program.fail_with(always.error());
  for (const auto* tool : registry->list()) {
    const bool allowed_always =
        tool->approval == tools::Approval::ask && always->contains(tool->name);
    if (program.json) {
      std::printf("%s\n", dump_json(Json{{"name", tool->name},
                                         {"description", tool->description},
                                         {"parameters", tool->parameters},
                                         {"approval", tools::name_of(tool->approval)},
                                         {"always_allowed", allowed_always},
                                         {"effect", tools::name_of(tool->effect)},
                                         {"source", tool->source}})
                              .c_str());
      continue;
    }
    const auto first_line = tool->description.substr(0, tool->description.find('\n'));
    const std::string approval(tools::name_of(tool->approval));
    std::printf("%-16s %-10s %-10s %s\n", tool->name.c_str(),
                (allowed_always ? approval + "/always" : approval).c_str(),
                std::string(tools::name_of(tool->effect)).c_str(),
                escape_controls(first_line.substr(0, utf8_prefix(first_line, 90))).c_str());
  }
  return 0;
}

int check_action(const Program& program, const ToolsOptions& options) {
  const auto text = read_file(options.file, size_t{1} << 20);
  if (!text) return program.fail_with(text.error());
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  auto registry = tools::Registry::with_builtins();
  registry.use_profiles(profile_lookup(*loaded, {}));
  const auto n_before = registry.list().size();
  if (const auto added = registry.add_yaml(*text, options.file); !added) {
    return program.fail_with(added.error());
  }
  for (const auto* tool : registry.list()) {
    if (tool->source != "built-in") std::printf("%s: ok\n", tool->name.c_str());
  }
  if (registry.list().size() > n_before) return 0;
  return program.fail_with(
      {ErrorCode::invalid_input, "this file defines no tool: its list \"tools\" is empty"});
}

/// Which setting denies this call, and where it stands; empty if none does.
std::string denial_of(const tools::Registry& registry, const config::Config& config,
                      const tools::Call& call) {
  const auto decision = registry.decision_for(call);
  if (decision.approval != tools::Approval::deny) return {};
  const auto* tool = registry.find(decision.tool);
  const std::string source = tool == nullptr ? std::string() : escape_controls(tool->source);
  if (!decision.argument.empty()) {
    return fmt::format("{}: a rule on its argument \"{}\" denies this call of {}", source,
                       decision.argument, call.name);
  }
  const auto set = config.tools.find(decision.tool);
  if (set != config.tools.end() && *set->second.approval == tools::Approval::deny) {
    return fmt::format("{}: tools.{}.approval is deny{}", set->second.approval.origin.text(),
                       decision.tool,
                       decision.tool == call.name ? "" : ", which holds for " + call.name + " too");
  }
  return fmt::format("{}: the approval of {} is deny", source, decision.tool);
}

/// What one call by hand needs; all of it outlives the call.
struct HandCall {
  const Program& program;
  const tools::Registry& registry;
  tools::Workspace& workspace;
  sandbox::Sandbox& sandbox;
  asio::thread_pool& workers;
  std::filesystem::path kept_apart;
  Apply apply;
};

asio::awaitable<Result<tools::Outcome>> run_call(HandCall by_hand, tools::Call call) {
  ReviewByHand reviewer(by_hand.apply, Style{by_hand.program.colour(2)});
  tools::CallContext context{.workspace = by_hand.workspace,
                             .sandbox = by_hand.sandbox,
                             .workers = by_hand.workers,
                             .preview = {},
                             .session = nullptr,
                             .kept_apart = by_hand.kept_apart,
                             .reviewer = &reviewer};
  auto outcome = co_await by_hand.registry.run(std::move(call), std::move(context));
  co_return outcome;
}

int print_outcome(const Program& program, const tools::Outcome& outcome) {
  if (program.json) {
    Json changes = Json::array();
    for (const auto& change : outcome.changes) {
      changes.push_back({{"path", change.path}, {"diff", tools::unified_diff(change)}});
    }
    const Json json{{"ok", outcome.ok},
                    {"text", outcome.text},
                    {"changes", std::move(changes)},
                    {"details", outcome.details}};
    std::printf("%s\n", dump_json(json).c_str());
  } else {
    const Style style{program.colour(1)};
    std::fputs(escape_controls(outcome.text).c_str(), stdout);
    if (!outcome.text.ends_with('\n')) std::fputc('\n', stdout);
    const bool shown = outcome.details.contains("kept_apart");  // by the text
    for (const auto& change : outcome.changes) {
      if (!shown) std::fputs(paint_diff(style, tools::unified_diff(change)).c_str(), stdout);
    }
  }
  return outcome.ok ? 0 : 1;
}

/// What the tool left in the background ends with the command.
asio::awaitable<int> call_once(HandCall by_hand, tools::Call call) {
  const auto outcome = co_await run_call(by_hand, std::move(call));
  const int status = outcome ? print_outcome(by_hand.program, *outcome)
                             : by_hand.program.fail_with(outcome.error());
  co_await by_hand.workspace.close();
  co_return status;
}

int call_action(const Program& program, const ToolsOptions& options) {
  const auto repository = resolve_repository(options.repository);
  if (!repository) return program.fail_with(repository.error());
  const auto loaded = program.load_config(*repository);
  if (!loaded) return program.fail_with(loaded.error());
  auto arguments = parse_json(options.arguments);
  if (!arguments)
    return program.fail_with({ErrorCode::invalid_input, "--args: " + arguments.error().message}, 2);
  warn_of(opt_outs(*loaded, config::to_policy(*loaded, *repository)));
  auto sandbox = program.start_sandbox();
  if (!sandbox) return program.fail_with(sandbox.error());
  const auto trusted = check_trust(*loaded, *repository);
  if (!trusted) return program.fail_with(trusted.error());
  if (!trusted->notice.empty()) std::fprintf(stderr, "sable: %s\n", trusted->notice.c_str());
  const auto registry = make_registry(*loaded, *repository, *trusted);
  if (!registry) return program.fail_with(registry.error());
  tools::Call call{"call_1", options.name, std::move(*arguments)};
  if (const auto checked = registry->check(call); !checked) {
    return program.fail_with(checked.error());
  }
  if (const auto denial = denial_of(*registry, loaded->config, call); !denial.empty()) {
    return program.fail_with({ErrorCode::denied, denial + "; nothing was run"});
  }
  auto workspace = tools::Workspace::open(*repository, config::to_policy(*loaded, *repository));
  if (!workspace) return program.fail_with(workspace.error());
  Loop loop;
  HandCall by_hand{.program = program,
                   .registry = *registry,
                   .workspace = **workspace,
                   .sandbox = **sandbox,
                   .workers = loop.workers(),
                   .kept_apart = place_of_kept_changes(*loaded),
                   .apply = options.apply};
  return loop.run(call_once(std::move(by_hand), std::move(call)));
}

}  // namespace

void add_tools_commands(CLI::App& app, Program& program, Action& chosen) {
  auto* group = app.add_subcommand("tools", "The tools, by hand");
  group->require_subcommand(1);
  const auto options = std::make_shared<ToolsOptions>();
  const auto bind = [&](CLI::App* command, int (*action)(const Program&, const ToolsOptions&)) {
    command->add_flag("--json", program.json, "JSON instead of text");
    command->callback([options, action, &chosen] {
      chosen = [options, action](const Program& running) { return action(running, *options); };
    });
    return command;
  };

  auto* list =
      bind(group->add_subcommand("list", "What a session in a repository may call"), list_action);
  list->add_option("--repo", options->repository, "The repository (default: here)")
      ->type_name("DIR");

  auto* check = bind(group->add_subcommand("check", "Check a YAML file of tools"), check_action);
  check->add_option("file", options->file, "The file")->required();

  auto* call = bind(group->add_subcommand("call", "Run one tool, in the sandbox"), call_action);
  add_setting(*call, program, "--network", "sandbox.network",
              "Whom it may talk to: none, loopback, allow (sandbox.allowed_hosts) or open")
      ->type_name("MODE");
  add_no_sandbox(*call, program);
  call->add_option("name", options->name, "The tool's name")->required();
  call->add_option("--args", options->arguments, "Its arguments as a JSON object")
      ->type_name("JSON");
  call->add_option("--repo", options->repository, "The repository (default: here)")
      ->type_name("DIR");
  add_apply(*call, options->apply);
}

}  // namespace sable::runtime
