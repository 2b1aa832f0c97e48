// The tools of a session: found by name, checked, run.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/task_group.h"
#include "base/text.h"
#include "tools/argument_text.h"
#include "tools/builtins.h"
#include "tools/shown_text.h"
#include "tools/tool.h"
#include "tools/yaml_tools.h"

namespace sable::tools {

struct Registry::State {
  std::vector<Tool> tools;
  ProfileLookup profiles;

  const Tool* find(std::string_view name) const {
    const auto it = std::find_if(tools.begin(), tools.end(),
                                 [&](const Tool& tool) { return tool.definition.name == name; });
    return it == tools.end() ? nullptr : &*it;
  }

  tl::unexpected<Error> unknown(std::string_view name) const {
    std::vector<std::string> names;
    for (const auto& tool : tools) names.push_back(tool.definition.name);
    std::string message = fmt::format("there is no tool \"{}\"", shown_path(name));
    const std::string near = nearest(name, names);
    if (!near.empty()) {
      message += fmt::format("; did you mean \"{}\"?", near);
    } else {
      message += "; the tools are";
      for (size_t i = 0; i < names.size(); ++i) message += (i == 0 ? " " : ", ") + names[i];
    }
    return fail(ErrorCode::not_found, std::move(message));
  }
};

namespace {

class HandlerRunner : public Runner {
 public:
  explicit HandlerRunner(CallHandler handler) : handler_(std::move(handler)) {}

  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    auto outcome = co_await handler_(std::move(call), std::move(context));
    if (outcome) outcome->text = to_utf8(outcome->text);
    co_return outcome;
  }

 private:
  const CallHandler handler_;
};

}  // namespace

Tool make_builtin(std::string name, std::string description, std::string_view parameters,
                  Effect effect, std::unique_ptr<Runner> runner) {
  auto document = parse_json(parameters);
  SABLE_CHECK(document.has_value());
  auto schema = Schema::compile(*document);
  SABLE_CHECK(schema.has_value());
  return {.definition = {.name = std::move(name),
                         .description = std::move(description),
                         .parameters = std::move(*document),
                         .approval = Approval::allow,
                         .effect = effect,
                         .source = "built-in"},
          .schema = std::move(*schema),
          .runner = std::move(runner)};
}

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;
Registry::Registry(Registry&&) noexcept = default;
Registry& Registry::operator=(Registry&&) noexcept = default;

Registry Registry::with_builtins() {
  Registry registry;
  auto& tools = registry.state_->tools;
  tools.push_back(read_file_tool());
  tools.push_back(list_files_tool());
  tools.push_back(search_tool());
  tools.push_back(edit_file_tool());
  tools.push_back(write_file_tool());
  tools.push_back(shell_tool());
  tools.push_back(process_start_tool());
  tools.push_back(process_read_tool());
  tools.push_back(process_write_tool());
  tools.push_back(process_stop_tool());
  tools.push_back(apply_patch_tool());
  tools.push_back(git_status_tool());
  tools.push_back(git_diff_tool());
  tools.push_back(git_log_tool());
  tools.push_back(todo_tool());
  tools.push_back(ask_user_tool());
  tools.push_back(read_output_tool());
  return registry;
}

void Registry::use_profiles(ProfileLookup profiles) { state_->profiles = std::move(profiles); }

Result<void> Registry::add_yaml(std::string_view text, std::string_view file_name) {
  SABLE_TRY(auto tools, read_yaml_tools(text, file_name, state_->profiles));
  for (const auto& tool : tools) {
    if (const Tool* known = state_->find(tool.definition.name)) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: there is already a tool \"{}\" ({})",
                              place_of_tool(text, file_name, tool.definition.name),
                              tool.definition.name, known->definition.source));
    }
  }
  std::move(tools.begin(), tools.end(), std::back_inserter(state_->tools));
  return {};
}

Result<void> Registry::add(Definition definition, CallHandler handler) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: the tool \"{}\": {}", shown_path(definition.source),
                            shown_path(definition.name), why));
  };
  if (!is_tool_name(definition.name)) {
    return refuse("its name must be of 1 to 64 letters, digits, \"_\" and \"-\"");
  }
  if (definition.source.empty()) return refuse("it does not say where it comes from");
  if (!handler) return refuse("nothing runs it");
  if (const Tool* known = state_->find(definition.name)) {
    return refuse(fmt::format("there is already one of this name ({})", known->definition.source));
  }
  if (!definition.parameters.is_object())
    return refuse("its parameters are no schema of an object");
  auto schema = Schema::compile(definition.parameters);
  if (!schema) return refuse(schema.error().message);
  definition.description = to_utf8(definition.description);
  state_->tools.push_back({.definition = std::move(definition),
                           .schema = std::move(*schema),
                           .runner = std::make_unique<HandlerRunner>(std::move(handler))});
  return {};
}

Approval Registry::approval_for(const Call& call) const { return decision_for(call).approval; }

ApprovalDecision Registry::decision_for(const Call& call) const {
  const Tool* tool = state_->find(call.name);
  if (tool == nullptr) return {.approval = Approval::deny, .tool = call.name};
  ApprovalDecision decision{.approval = tool->definition.approval, .tool = call.name};
  if (const Tool* other = state_->find(tool->as_strict_as);
      other != nullptr && other->definition.approval > decision.approval) {
    decision = {.approval = other->definition.approval, .tool = other->definition.name};
  }
  if (tool->approval_rules.empty() || !call.arguments.is_object()) return decision;
  const Json arguments = with_defaults(call.arguments, tool->defaults);
  for (const auto& rule : tool->approval_rules) {
    if (rule.approval <= decision.approval) continue;
    const auto value = arguments.find(rule.argument);
    if (value == arguments.end()) continue;
    // A text that the pattern cannot be tried on counts as one that it matches.
    if (!rule.pattern.found_in(argument_text(*value)).value_or(true)) continue;
    decision = {.approval = rule.approval, .tool = call.name, .argument = rule.argument};
  }
  return decision;
}

std::vector<const Definition*> Registry::list() const {
  std::vector<const Definition*> definitions;
  for (const auto& tool : state_->tools) definitions.push_back(&tool.definition);
  return definitions;
}

const Definition* Registry::find(std::string_view name) const {
  const Tool* tool = state_->find(name);
  return tool == nullptr ? nullptr : &tool->definition;
}

Result<void> Registry::set_approval(std::string_view name, Approval approval) {
  for (auto& tool : state_->tools) {
    if (tool.definition.name != name) continue;
    tool.definition.approval = approval;
    return {};
  }
  return state_->unknown(name);
}

Result<void> Registry::keep_only(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    if (state_->find(name) == nullptr) return state_->unknown(name);
  }
  std::erase_if(state_->tools, [&](const Tool& tool) {
    return std::find(names.begin(), names.end(), tool.definition.name) == names.end();
  });
  return {};
}

Result<void> Registry::check(const Call& call) const {
  const Tool* tool = state_->find(call.name);
  if (tool == nullptr) return state_->unknown(call.name);
  if (!call.arguments.is_object()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the arguments of {} must be one JSON object, got {}", call.name,
                            call.arguments.type_name()));
  }
  const auto violations = tool->schema.check(call.arguments);
  if (violations.empty()) return {};
  std::string text = describe(violations, tool->schema);
  while (text.ends_with('\n')) text.pop_back();
  return fail(
      ErrorCode::invalid_input,
      fmt::format("the arguments of {} do not fit its schema; nothing was run. Correct them and "
                  "call it again:\n{}",
                  call.name, text));
}

asio::awaitable<Result<Approval>> Registry::admit(Call call, asio::thread_pool& workers) const {
  auto on_worker = [this, call = std::move(call)]() -> Result<Approval> {
    SABLE_TRY_VOID(check(call));
    return approval_for(call);
  };
  auto admitted = co_await run_blocking(workers, std::move(on_worker));
  co_return admitted;
}

asio::awaitable<Result<Outcome>> Registry::run(Call call, CallContext context) const {
  const Tool* tool = state_->find(call.name);
  if (tool == nullptr) {
    const Error error = state_->unknown(call.name).value();
    co_return failed(error.message);
  }
  auto outcome = co_await tool->runner->run(std::move(call), std::move(context));
  co_return outcome;
}

}  // namespace sable::tools
