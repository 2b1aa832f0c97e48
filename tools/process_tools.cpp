// process_start, process_read, process_write, process_stop: programs that run on beside other calls
// of their session, with a terminal of their own where they need one.
#include <algorithm>

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"
#include "tools/builtins.h"
#include "tools/command_output.h"
#include "tools/command_session.h"
#include "tools/shell_state.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kGatheredBytesMax = size_t{1} << 20;
/// A program that has said something and then is silent for so long has said what it had to.
constexpr milliseconds kQuiet{150};

/// What a call waits for: the first output and the silence after it, or a text.
struct Patience {
  milliseconds wait;
  std::string text;  ///< empty: any output

  static Patience of(const Json& arguments, double seconds) {
    const double asked = number_argument(arguments, "wait_seconds", seconds);
    return {.wait = milliseconds(static_cast<int64_t>(asked * 1000)),
            .text = text_argument(arguments, "wait_for")};
  }
};

struct Gathered {
  std::string bytes;
  uint64_t skipped = 0;
  bool running = true;
  bool found = false;  ///< what was waited for
};

struct Drawn {
  bool is_laid_out = false;
  bool found = false;  ///< what is wanted stands there, although no such bytes came in one piece
};

/// Draws on the screen, which may take longer than the loop can wait.
asio::awaitable<Drawn> draw(asio::thread_pool& workers, std::shared_ptr<SharedScreen> screen,
                            std::string bytes, std::string wanted) {
  const std::function<Drawn()> work = [screen, bytes = std::move(bytes),
                                       wanted = std::move(wanted)] {
    const std::lock_guard lock(screen->mutex);
    screen->screen.take(bytes);
    Drawn drawn{.is_laid_out = screen->screen.is_laid_out()};
    drawn.found = drawn.is_laid_out && !wanted.empty() &&
                  screen->screen.text().find(wanted) != std::string::npos;
    return drawn;
  };
  const auto drawn = co_await run_blocking(workers, work);
  co_return drawn;
}

asio::awaitable<Gathered> gather(BackgroundCommand command, Patience patience,
                                 asio::thread_pool& workers, OutputPreview preview) {
  const auto until = steady_clock::now() + patience.wait;
  Gathered gathered;
  CommandOutput shown(preview);
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    const bool quiet_ends_it = gathered.found || (patience.text.empty() && !gathered.bytes.empty());
    const auto output = co_await command.process->read(
        std::max(milliseconds(0), quiet_ends_it ? std::min(left, kQuiet) : left));
    gathered.bytes += output.bytes;
    gathered.skipped += output.skipped;
    gathered.running = output.running;
    shown.take(output.bytes);
    Drawn drawn;
    if (command.screen) drawn = co_await draw(workers, command.screen, output.bytes, patience.text);
    gathered.found =
        gathered.found || drawn.found ||
        (!patience.text.empty() && gathered.bytes.find(patience.text) != std::string::npos);
    if (!gathered.running || gathered.bytes.size() >= kGatheredBytesMax) break;
    if (gathered.found && !drawn.is_laid_out) break;  // a screen is drawn to its end first
    if (output.bytes.empty() && quiet_ends_it) break;
    if (steady_clock::now() >= until) break;
  }
  shown.finish();
  co_return gathered;
}

ScreenReading look_at(SharedScreen* shared) {
  if (shared == nullptr) return {};
  const std::lock_guard lock(shared->mutex);
  return shared->screen.read();
}

/// A screen as a person sees it, below what has left it at the top.
void show_screen(const ScreenReading& seen, Outcome& outcome) {
  outcome.details["screen"] = true;
  if (seen.n_scrolled_lost > 0) {
    outcome.text += fmt::format("[{} lines before these were not kept]\n", seen.n_scrolled_lost);
  }
  if (!seen.scrolled.empty()) {
    ShownOutput above = shown_output(seen.scrolled, kShownBytesMax);
    outcome.text += above.text;
    outcome.details["cut"] = above.cut;
    if (above.cut) outcome.full_output = seen.scrolled;
  }
  outcome.text +=
      fmt::format("[the screen; the cursor is in row {}, column {}]\n", seen.row, seen.column);
  outcome.text += seen.text.empty() ? "[it is empty]\n" : escape_controls(seen.text);
}

/// What came, and how the program is. One that has ended is forgotten: its end is told once.
asio::awaitable<Result<Outcome>> tell(CallContext context, std::string id, Patience patience) {
  auto& commands = context.workspace.commands();
  const auto found = commands.find(id);
  if (!found) co_return failed(found.error().message);
  const auto process = found->process;
  const std::string waited_for = patience.text;
  Gathered gathered =
      co_await gather(*found, std::move(patience), context.workers, context.preview);
  Outcome outcome;
  std::string ending;
  if (gathered.running) {
    ending = fmt::format("[{} runs]\n", id);
    if (!waited_for.empty() && !gathered.found) {
      ending = fmt::format("[{} runs; the text waited for has not come]\n", id);
    }
  } else {
    const auto ended = co_await process->wait();
    commands.forget(id);
    if (!ended) co_return fail(ended.error());
    outcome.ok = ended->end == sandbox::End::exited && ended->exit_code == 0;
    outcome.details = ending_details(*ended);
    ending = fmt::format("[{} has ended: {}]\n", id, ending_in_words(*ended)) +
             denials_note(*ended) + protected_changes_note(*ended);
  }
  outcome.details["process"] = id;
  outcome.details["running"] = gathered.running;
  auto cut = [gathered = std::move(gathered), screen = found->screen, outcome = std::move(outcome),
              ending = std::move(ending)]() mutable {
    if (gathered.skipped > 0) {
      outcome.text =
          fmt::format("[{} bytes came before these and were not kept]\n", gathered.skipped);
    }
    if (const auto seen = look_at(screen.get()); seen.is_laid_out) {
      show_screen(seen, outcome);
      outcome.text += ending;
      return std::move(outcome);
    }
    ShownOutput shown = shown_output(gathered.bytes, kShownBytesMax);
    outcome.text += gathered.bytes.empty() ? "[nothing new]\n" : std::move(shown.text);
    outcome.text += ending;
    outcome.details["cut"] = shown.cut;
    if (shown.cut) outcome.full_output = std::move(gathered.bytes);
    return std::move(outcome);
  };
  auto told = co_await run_blocking(context.workers, std::move(cut));
  co_return told;
}

class StartRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    const std::string text = text_argument(call.arguments, "command");
    if (text.find('\0') != std::string::npos) co_return failed("the command holds a NUL byte");
    const auto& policy = context.workspace.policy();
    if (policy.files == sandbox::FileEffects::transaction && !policy.writable.empty()) {
      co_return failed(
          "what a command changes is kept apart here until it has ended and its changes are "
          "applied "
          "or dropped, which a program in the background cannot wait for; run it with shell");
    }
    const ShellState& state = context.workspace.shell_state();
    const std::string folder = text_argument(call.arguments, "working_directory", state.folder);
    auto look = [files = &context.workspace.files(), folder] { return files->list(folder, 1); };
    auto place = co_await run_blocking(context.workers, std::move(look));
    if (!place) co_return failed("working_directory: " + place.error().message);
    sandbox::Command command{.argv = background_command(shell_program(), text, state),
                             .working_directory = context.workspace.root() / place->place};
    const bool terminal = flag_argument(call.arguments, "terminal");
    auto id = co_await context.workspace.commands().start(context.sandbox, std::move(command), text,
                                                          terminal);
    if (!id && id.error().code == ErrorCode::exhausted) co_return failed(id.error().message);
    if (!id) co_return fail(std::move(id.error()));
    auto told = co_await tell(std::move(context), std::move(*id), Patience::of(call.arguments, 1));
    co_return told;
  }
};

class ReadRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    auto told = co_await tell(std::move(context), text_argument(call.arguments, "process"),
                              Patience::of(call.arguments, 10));
    co_return told;
  }
};

class WriteRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    std::string id = text_argument(call.arguments, "process");
    const auto found = context.workspace.commands().find(id);
    if (!found) co_return failed(found.error().message);
    const std::string text = text_argument(call.arguments, "text");
    if (!text.empty() && found->process->running()) {
      if (const auto written = found->process->write(text); !written) {
        co_return failed(fmt::format("{}: {}", id, written.error().message));
      }
    }
    if (flag_argument(call.arguments, "close_input") && found->process->running()) {
      if (const auto closed = found->process->close_input(); !closed) {
        co_return failed(fmt::format("{}: {}", id, closed.error().message));
      }
    }
    auto told = co_await tell(std::move(context), std::move(id), Patience::of(call.arguments, 1));
    co_return told;
  }
};

class StopRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    std::string id = text_argument(call.arguments, "process");
    const auto found = context.workspace.commands().find(id);
    if (!found) co_return failed(found.error().message);
    const auto stopped = co_await found->process->stop();
    if (!stopped) co_return fail(stopped.error());
    auto told = co_await tell(std::move(context), std::move(id), {.wait = milliseconds(0)});
    // However it died: it was to end, and it has.
    if (told) told->ok = true;
    co_return told;
  }
};

}  // namespace

Tool process_start_tool() {
  Tool tool = make_builtin(
      "process_start",
      "Starts a command line in the background, with the sandbox, folder and variables that shell "
      "would have, and shows what it prints at first. It runs on beside other calls until it ends, "
      "process_stop ends it, or the session ends. For servers, watchers and programs that ask "
      "questions; a finite command is better run with shell.",
      R"({
        "type": "object",
        "properties": {
          "command": {"type": "string", "minLength": 1, "maxLength": 100000,
                      "description": "the command line"},
          "working_directory": {"type": "string", "minLength": 1, "maxLength": 4096,
                                "description": "a folder of the workspace"},
          "terminal": {"type": "boolean",
                       "description": "give it a terminal of 120 columns and 40 rows, for programs that need one"},
          "wait_seconds": {"type": "number", "minimum": 0, "maximum": 600,
                           "description": "how long to wait for output, default 1"},
          "wait_for": {"type": "string", "minLength": 1, "maxLength": 1000,
                       "description": "wait until this text has been printed"}
        },
        "required": ["command"],
        "additionalProperties": false
      })",
      Effect::command, std::make_unique<StartRunner>());
  tool.as_strict_as = "shell";
  return tool;
}

Tool process_read_tool() {
  return make_builtin(
      "process_read",
      "Shows what a background process has printed since the last time, and whether it still runs. "
      "Waits for output if there is none.",
      R"({
        "type": "object",
        "properties": {
          "process": {"type": "string", "minLength": 1, "maxLength": 20,
                      "description": "as process_start named it"},
          "wait_seconds": {"type": "number", "minimum": 0, "maximum": 600,
                           "description": "how long to wait for output, default 10"},
          "wait_for": {"type": "string", "minLength": 1, "maxLength": 1000,
                       "description": "wait until this text has been printed"}
        },
        "required": ["process"],
        "additionalProperties": false
      })",
      Effect::none, std::make_unique<ReadRunner>());
}

Tool process_write_tool() {
  Tool tool = make_builtin(
      "process_write",
      "Types into a background process and shows what it prints in answer. Nothing is added: end a "
      "line with a newline. In a terminal \\u0003 is Ctrl-C, \\u0004 Ctrl-D and \\u001b Escape.",
      R"({
        "type": "object",
        "properties": {
          "process": {"type": "string", "minLength": 1, "maxLength": 20,
                      "description": "as process_start named it"},
          "text": {"type": "string", "maxLength": 100000, "description": "what to type"},
          "close_input": {"type": "boolean", "description": "then end its standard input"},
          "wait_seconds": {"type": "number", "minimum": 0, "maximum": 600,
                           "description": "how long to wait for output, default 1"},
          "wait_for": {"type": "string", "minLength": 1, "maxLength": 1000,
                       "description": "wait until this text has been printed"}
        },
        "required": ["process"],
        "additionalProperties": false
      })",
      Effect::command, std::make_unique<WriteRunner>());
  tool.as_strict_as = "shell";
  return tool;
}

Tool process_stop_tool() {
  return make_builtin(
      "process_stop",
      "Ends a background process with all that it started, and shows its last output.",
      R"({
        "type": "object",
        "properties": {
          "process": {"type": "string", "minLength": 1, "maxLength": 20,
                      "description": "as process_start named it"}
        },
        "required": ["process"],
        "additionalProperties": false
      })",
      Effect::command, std::make_unique<StopRunner>());
}

}  // namespace sable::tools
