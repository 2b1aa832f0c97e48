// Parses the command line and runs what it names.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/runtime.h"

namespace sable::runtime {

namespace {

constexpr int kUsageError = 2;

void configure(CLI::App& app, Program& program) {
  app.set_version_flag("--version", std::string("sable ") + kVersion);
  app.require_subcommand(1);
  app.fallthrough();
  app.set_help_all_flag("--help-all", "Help of every command");
  app.add_option("--config", program.config_file,
                 "A configuration file above the user's and the repository's")
      ->type_name("FILE");
  app.add_option("--log-level", program.log_level, "trace, debug, info, warning, error or off")
      ->type_name("LEVEL");
}

/// CLI11's message, with the nearest command when a word is unknown.
int usage_error(const CLI::App& app, const CLI::ParseError& error, const Invocation& invocation) {
  if (app.get_subcommands().empty() && !invocation.arguments.empty() &&
      !invocation.arguments.front().starts_with('-')) {
    std::vector<std::string> names;
    for (const auto* command : app.get_subcommands({})) names.push_back(command->get_name());
    const auto& word = invocation.arguments.front();
    const auto near = nearest(word, names);
    std::fprintf(stderr, "sable: there is no command \"%s\"%s\n", escape_controls(word).c_str(),
                 near.empty() ? "" : ("; did you mean \"" + near + "\"?").c_str());
    std::fprintf(stderr, "Try: sable --help\n");
    return kUsageError;
  }
  std::fprintf(stderr, "sable: %s\n", escape_controls(error.what()).c_str());
  std::fprintf(stderr, "Try: sable %s--help\n",
               app.get_subcommands().empty()
                   ? ""
                   : (app.get_subcommands().front()->get_name() + " ").c_str());
  return kUsageError;
}

/// Whether whoever read this descriptor has closed it, which is no failure of ours.
bool reader_is_gone(int fd) {
  pollfd watched{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&watched, 1, 0) == 1 && (watched.revents & (POLLERR | POLLHUP)) != 0;
}

/// The exit status once all that was printed is written: a command whose output is lost has failed.
int status_when_written(int status) {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int error = errno;
  if ((flushed && std::ferror(stdout) == 0) || reader_is_gone(STDOUT_FILENO)) return status;
  if (status != 0) return status;
  std::fprintf(stderr, "sable: standard output: %s\n",
               flushed || error == 0 ? "not all of it could be written" : std::strerror(error));
  return 1;
}

}  // namespace

CLI::Option* add_setting(CLI::App& command, Program& program, const std::string& name,
                         const std::string& key, const std::string& help,
                         const std::string& suffix) {
  auto* const option = command.add_option_function<std::vector<std::string>>(
      name,
      [&program, name, key, suffix](const std::vector<std::string>& values) {
        for (const auto& value : values) {
          const bool bare = value.find_first_not_of("0123456789") == std::string::npos;
          program.flags.push_back({name, key, bare ? value + suffix : value});
        }
      },
      help);
  // May be repeated, but takes one value each time: what follows may be the task.
  return option->allow_extra_args(false);
}

void add_no_sandbox(CLI::App& command, Program& program) {
  command.add_flag("--no-sandbox", program.no_sandbox,
                   "Run commands as they are, with all your rights; recorded and shown");
}

void add_model_settings(CLI::App& command, Program& program) {
  command
      .add_option("--model", program.model,
                  "A provider or model of the configuration, or a path of weights; with --base-url "
                  "the endpoint's own name")
      ->type_name("NAME");
  command
      .add_option("--base-url", program.base_url,
                  "An endpoint that speaks OpenAI Chat Completions, up to and with /v1")
      ->type_name("URL");
  command.add_option("--api-key-env", program.api_key_env, "The variable that holds its key")
      ->type_name("VARIABLE");
}

int run_program(const Invocation& invocation) {
  CLI::App app("Agents on a built-in, long-context engine, in a sandbox.", "sable");
  Program program{.invocation = invocation};
  Action chosen;
  configure(app, program);
  add_run_command(app, program, chosen);
  add_serve_command(app, program, chosen);
  add_session_commands(app, program, chosen);
  add_tools_commands(app, program, chosen);
  add_sandbox_commands(app, program, chosen);
  add_model_commands(app, program, chosen);
  add_eval_commands(app, program, chosen);
  add_trust_command(app, program, chosen);
  add_config_commands(app, program, chosen);
  add_doctor_command(app, program, chosen);
  try {
    // CLI11 takes the arguments last first.
    app.parse(std::vector<std::string>(invocation.arguments.rbegin(), invocation.arguments.rend()));
  } catch (const CLI::Success& success) {  // --help, --version
    return status_when_written(app.exit(success));
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error, invocation);
  }
  return status_when_written(chosen(program));
}

}  // namespace sable::runtime
