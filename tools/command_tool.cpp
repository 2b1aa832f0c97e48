#include "tools/command_tool.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"
#include "tools/argument_text.h"
#include "tools/command_output.h"
#include "tools/kept_call.h"
#include "tools/narrowed_policy.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

constexpr size_t kErrorsBytesMax = 2 << 10;
constexpr size_t kJsonBytesMax = 8 << 20;

template <class T>
void narrow(T& limit, const auto& asked) {
  if (asked) limit = std::min<T>(limit, static_cast<T>(*asked));
}

sandbox::Policy narrowed(sandbox::Policy policy, const CommandSpec& spec,
                         const std::filesystem::path& root,
                         const std::map<std::string, std::string>& environment) {
  narrow(policy.limits.wall, spec.wall);
  narrow(policy.limits.memory_bytes, spec.memory_bytes);
  narrow(policy.limits.output_bytes, spec.output_bytes);
  narrow(policy.limits.processes, spec.processes);
  if (spec.profile) policy = narrowed_to(std::move(policy), *spec.profile);
  if (spec.keeps_changes_apart) policy.files = sandbox::FileEffects::transaction;
  if (spec.network) policy.network = std::min(policy.network, *spec.network);
  if (policy.network != sandbox::Network::allow) policy.allowed_hosts.clear();
  for (const auto& path : spec.masked) policy.masked.push_back((root / path).lexically_normal());
  // What the user set for a session is not the tool's to change.
  policy.environment.insert(environment.begin(), environment.end());
  return spec.reads_only ? read_only(std::move(policy)) : policy;
}

struct Streams {
  std::string out, err;
};

std::string ending_note(const sandbox::RunResult& ran, const ExitMeaning* meaning) {
  std::string note = ending_in_words(ran);
  if (meaning != nullptr && !meaning->text.empty()) note += ": " + meaning->text;
  return fmt::format("[{}]\n", note);
}

Outcome outcome_of(const CommandSpec& spec, const sandbox::RunResult& ran, const std::string& whole,
                   const Streams& streams) {
  Outcome outcome;
  const ExitMeaning* meaning = nullptr;
  outcome.ok = ran.end == sandbox::End::exited && ran.exit_code == 0;
  if (ran.end == sandbox::End::exited) {
    if (const auto it = spec.exit_codes.find(ran.exit_code); it != spec.exit_codes.end()) {
      meaning = &it->second;
      outcome.ok = meaning->ok;
    }
  }
  outcome.details = ending_details(ran);
  if (spec.json_output && outcome.ok) {
    const auto value = parse_json(streams.out, {.bytes_max = kJsonBytesMax});
    if (value) {
      ShownOutput shown = shown_output(dump_json(*value), kShownBytesMax);
      outcome.text = std::move(shown.text);
      if (shown.cut) {
        outcome.full_output = streams.out;
      } else {
        outcome.details["json"] = *value;
      }
    } else {
      outcome.ok = false;
      outcome.text =
          fmt::format("the program was to print JSON: {}. It printed:\n{}", value.error().message,
                      shown_output(streams.out, kErrorsBytesMax).text);
      if (streams.out.size() > kErrorsBytesMax) outcome.full_output = streams.out;
    }
    if (!streams.err.empty()) outcome.text += shown_output(streams.err, kErrorsBytesMax).text;
  } else {
    ShownOutput shown = shown_output(whole, kShownBytesMax);
    outcome.text = whole.empty() ? "[no output]\n" : std::move(shown.text);
    if (shown.cut) outcome.full_output = whole;
  }
  // A plain success needs no comment; everything else does.
  if (!outcome.ok || meaning != nullptr) outcome.text += ending_note(ran, meaning);
  outcome.text += denials_note(ran);
  outcome.text += protected_changes_note(ran);
  return outcome;
}

class CommandRunner : public Runner {
 public:
  explicit CommandRunner(CommandSpec spec) : spec_(std::move(spec)) {}

  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    auto rendered = render(spec_, call.arguments);
    if (!rendered) co_return failed(rendered.error().message);
    std::filesystem::path folder = context.workspace.root();
    if (!spec_.working_directory.empty()) {
      auto look = [files = &context.workspace.files(), path = spec_.working_directory] {
        return files->list(path, 1);
      };
      auto found = co_await run_blocking(context.workers, std::move(look));
      if (!found) co_return failed("working_directory: " + found.error().message);
      folder /= found->place;
    }
    const std::string program = rendered->argv[0];
    auto policy = narrowed(context.workspace.policy(), spec_, context.workspace.root(),
                           rendered->environment);
    auto kept_apart = co_await keep_apart(context, policy);
    if (!kept_apart) co_return fail(kept_apart.error());
    sandbox::Command command{.argv = std::move(rendered->argv),
                             .working_directory = std::move(folder),
                             .stdin_data = std::move(rendered->stdin_data)};
    CommandOutput output(context.preview);
    Streams streams;
    sandbox::OutputSink sink = [&](sandbox::Stream stream, std::string_view bytes) {
      output.take(bytes);
      if (spec_.json_output) {
        (stream == sandbox::Stream::standard_output ? streams.out : streams.err) += bytes;
      }
    };
    auto ran = co_await run_before_review(context.sandbox, std::move(policy), std::move(command),
                                          std::move(sink));
    if (!ran && ran.error().code == ErrorCode::not_found) {
      co_return failed(fmt::format("the program {} is not installed here", shown_path(program)));
    }
    if (!ran) co_return fail(ran.error());
    output.finish();
    auto read = [spec = &spec_, result = *ran, whole = output.take_whole(),
                 streams = std::move(streams)] {
      return outcome_of(*spec, result, whole, streams);
    };
    auto outcome = co_await run_blocking(context.workers, std::move(read));
    std::string about = fmt::format("{} ({})", call.name, ending_in_words(*ran));
    co_return co_await settled_outcome(std::move(context), std::move(*kept_apart), std::move(about),
                                       std::move(outcome));
  }

 private:
  CommandSpec spec_;
};

}  // namespace

Result<RenderedCommand> render(const CommandSpec& spec, const Json& arguments) {
  const Json all = with_defaults(arguments, spec.defaults);
  RenderedCommand command;
  SABLE_TRY(command.argv, spec.argv.render(all));
  if (spec.stdin_text) {
    SABLE_TRY(command.stdin_data, spec.stdin_text->render(all));
  }
  for (const auto& [name, text] : spec.environment) {
    SABLE_TRY(command.environment[name], text.render(all));
  }
  return command;
}

std::unique_ptr<Runner> command_runner(CommandSpec spec) {
  return std::make_unique<CommandRunner>(std::move(spec));
}

}  // namespace sable::tools
