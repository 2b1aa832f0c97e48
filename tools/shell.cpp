// shell: one command line in the sandbox.
#include <algorithm>

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"
#include "tools/builtins.h"
#include "tools/command_output.h"
#include "tools/command_session.h"
#include "tools/kept_call.h"
#include "tools/shell_state.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

std::string next_step(const sandbox::RunResult& result, std::chrono::milliseconds wall_max) {
  if (result.end == sandbox::End::deadline) {
    return fmt::format("; give timeout_seconds up to {}, or do the work in smaller pieces",
                       wall_max.count() / 1000);
  }
  if (result.end == sandbox::End::output_limit) return "; send the output to a file, or filter it";
  return "";
}

class ShellRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    const std::string text = text_argument(call.arguments, "command");
    if (text.find('\0') != std::string::npos) co_return failed("the command holds a NUL byte");
    const auto wall_max = context.workspace.policy().limits.wall;
    const double seconds = number_argument(call.arguments, "timeout_seconds", 0);
    const std::string folder = text_argument(call.arguments, "working_directory");
    ShellState& state = context.workspace.shell_state();
    const std::string begin = folder.empty() ? state.folder : folder;
    auto look = [files = &context.workspace.files(), begin] { return files->list(begin, 1); };
    auto found = co_await run_blocking(context.workers, std::move(look));
    if (!found && folder.empty()) {
      const std::string gone = std::exchange(state.folder, ".");
      co_return failed(
          fmt::format("the working directory {} cannot be entered any more; nothing was run. The "
                      "next call begins in the workspace's root",
                      shown_path(gone)));
    }
    if (!found) co_return failed("working_directory: " + found.error().message);
    const std::string mark = fresh_mark();
    sandbox::Command command{.argv = shell_command(shell_program(), text, state, mark),
                             .working_directory = context.workspace.root() / found->place};
    if (seconds > 0) {
      const auto asked = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
      command.wall = std::max(asked, std::chrono::milliseconds(1));
    }
    CommandOutput output(context.preview);
    ShellOutput parted(mark);
    sandbox::OutputSink sink = [&output, &parted](sandbox::Stream stream, std::string_view bytes) {
      output.take(stream == sandbox::Stream::standard_output ? parted.take(bytes) : bytes);
    };
    auto policy = context.workspace.policy();
    auto kept_apart = co_await keep_apart(context, policy);
    if (!kept_apart) co_return fail(kept_apart.error());
    // A session's view is mounted once; changes that are kept apart need one of each call.
    auto running = *kept_apart ? run_before_review(context.sandbox, std::move(policy),
                                                   std::move(command), std::move(sink))
                               : context.workspace.commands().run(
                                     context.sandbox, std::move(command), std::move(sink));
    auto ran = co_await std::move(running);
    if (!ran) co_return fail(ran.error());
    output.take(parted.finish());
    output.finish();
    KeptState kept{.state = state};
    if (parted.has_state()) {
      kept = kept_state(state, parted.state(), mark, context.workspace.root(), folder.empty());
    }
    state = kept.state;
    ran->stdout_bytes -= std::min<uint64_t>(ran->stdout_bytes, parted.n_hidden());
    // Cutting up to 64 MiB is not for the loop's thread.
    auto cut = [result = *ran, whole = output.take_whole(), wall_max, note = kept.note] {
      Outcome outcome = outcome_of(result, whole, wall_max);
      outcome.text += note;
      return outcome;
    };
    auto outcome = co_await run_blocking(context.workers, std::move(cut));
    std::string about = fmt::format("shell ({})", ending_in_words(*ran));
    co_return co_await settled_outcome(std::move(context), std::move(*kept_apart), std::move(about),
                                       std::move(outcome));
  }

 private:
  static Outcome outcome_of(const sandbox::RunResult& ran, const std::string& whole,
                            std::chrono::milliseconds wall_max) {
    ShownOutput shown = shown_output(whole, kShownBytesMax);
    Outcome outcome;
    outcome.ok = ran.end == sandbox::End::exited && ran.exit_code == 0;
    outcome.text = std::move(shown.text);
    if (whole.empty()) outcome.text = "[no output]\n";
    outcome.text +=
        fmt::format("[{}{}; {:.1f} s]\n", ending_in_words(ran), next_step(ran, wall_max),
                    static_cast<double>(ran.wall.count()) / 1000);
    outcome.text += denials_note(ran);
    outcome.text += protected_changes_note(ran);
    outcome.details = ending_details(ran);
    outcome.details["cut"] = shown.cut;
    if (shown.cut) outcome.full_output = whole;
    return outcome;
  }
};

}  // namespace

Tool shell_tool() {
  return make_builtin(
      "shell",
      "Runs a command line with bash (sh where there is none) in a sandbox: it can "
      "write only below the workspace's root and in a private /tmp; there is no "
      "network unless the user allowed it. The first call begins in the root, each "
      "later one in the folder where the last one ended, with the variables that it "
      "exported and the files that it left in /tmp; other variables, functions, "
      "aliases and running programs do not last. Shows "
      "output and errors in the order in which they came, long output cut in the "
      "middle, and how the command ended. Programs that ask questions get an empty "
      "standard input.",
      R"({
        "type": "object",
        "properties": {
          "command": {"type": "string", "minLength": 1, "maxLength": 100000,
                      "description": "the command line"},
          "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400,
                              "description": "when to stop it; default and limit are the session's"},
          "working_directory": {"type": "string", "minLength": 1, "maxLength": 4096,
                                "description": "a folder of the workspace, for this call only"}
        },
        "required": ["command"],
        "additionalProperties": false
      })",
      Effect::command, std::make_unique<ShellRunner>());
}

}  // namespace sable::tools
