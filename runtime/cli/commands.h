// The command tree: each function adds one command (or a group) to the parser and, when it is the
// one that was given, sets what to do.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "runtime/program.h"

namespace sable::runtime {

using Action = std::function<int(const Program&)>;

void add_run_command(CLI::App& app, Program& program, Action& chosen);
void add_serve_command(CLI::App& app, Program& program, Action& chosen);
void add_session_commands(CLI::App& app, Program& program, Action& chosen);
void add_tools_commands(CLI::App& app, Program& program, Action& chosen);
void add_sandbox_commands(CLI::App& app, Program& program, Action& chosen);
void add_model_commands(CLI::App& app, Program& program, Action& chosen);
void add_eval_commands(CLI::App& app, Program& program, Action& chosen);
void add_trust_command(CLI::App& app, Program& program, Action& chosen);
void add_config_commands(CLI::App& app, Program& program, Action& chosen);
void add_doctor_command(CLI::App& app, Program& program, Action& chosen);

/// --model, --base-url and --api-key-env.
void add_model_settings(CLI::App& command, Program& program);

/// --no-sandbox.
void add_no_sandbox(CLI::App& command, Program& program);

/// An option that sets a configuration value: kept as a config::Flag.
CLI::Option* add_setting(CLI::App& command, Program& program, const std::string& name,
                         const std::string& key, const std::string& help,
                         const std::string& suffix = "");

}  // namespace sable::runtime
