// What every command shares: the invocation, the global options, and how errors are told.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "memory/memory.h"
#include "runtime/config/config.h"
#include "runtime/runtime.h"
#include "sandbox/sandbox.h"

namespace sable::runtime {

class Output;

/// One run of the program. Commands read it; parsing fills it.
struct Program {
  const Invocation& invocation;

  // Options that every command takes.
  std::string config_file;
  std::string log_level;
  bool json = false;

  // --base-url and what belongs to it: a provider named on the command line.
  std::string base_url, api_key_env, model;

  std::string profile;              ///< of the sandbox, by name
  bool no_sandbox = false;          ///< --no-sandbox: the user's choice, and no file can make it
  std::vector<config::Flag> flags;  ///< settings given by the command's own options

  /// A variable of the environment, or empty.
  std::string variable(const std::string& name) const;

  /// All layers. `repository` adds its narrowing layer.
  Result<config::LoadedConfig> load_config(
      const std::optional<std::filesystem::path>& repository) const;

  /// Where the models lie that came with the program: share/sable/models beside its bin/.
  std::filesystem::path installed_models() const;

  /// With --no-sandbox what runs commands as they are; says so on standard error.
  Result<std::unique_ptr<sandbox::Sandbox>> start_sandbox() const;

  /// Colour on this descriptor: a terminal, and neither NO_COLOR nor TERM=dumb.
  bool colour(int fd) const;

  /// Prints "sable: MESSAGE" to standard error (with --json also {"error": …} to standard output)
  /// and returns the exit status, 1; 2 when the command line itself was wrong.
  int fail_with(const Error& error, int status = 1) const;

  /// Waits until all of it is written; 0, or what fail_with() returns when it did not get through.
  int status_once_written(Output& out) const;
};

/// The repository a command works on: `text`, or the working directory; absolute and real.
Result<std::filesystem::path> resolve_repository(const std::string& text);

}  // namespace sable::runtime
