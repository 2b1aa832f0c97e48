// A tool that runs one command, described by data.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/argv_template.h"
#include "tools/tool.h"

namespace sable::tools {

/// What an exit code means.
struct ExitMeaning {
  bool ok = false;
  std::string text;
};

struct CommandSpec {
  ArgvTemplate argv;
  std::optional<TextTemplate> stdin_text;
  std::vector<std::pair<std::string, TextTemplate>> environment;
  std::string working_directory;  ///< below the workspace's root; empty: the root
  /// Limits narrow those of the session's policy and never widen them.
  std::optional<std::chrono::milliseconds> wall;
  std::optional<uint64_t> memory_bytes, output_bytes;
  std::optional<uint32_t> processes;
  bool reads_only = false;                    ///< the workspace is mounted read-only
  bool keeps_changes_apart = false;           ///< until they are applied or dropped as a whole
  std::optional<sandbox::Network> network;    ///< at most this
  std::optional<sandbox::Policy> profile;     ///< nothing beyond it
  std::vector<std::filesystem::path> masked;  ///< further ones, relative to the root or absolute
  bool json_output = false;
  std::map<int, ExitMeaning> exit_codes;  ///< those without an entry: 0 is ok, others are not
  Json defaults = Json::object();         ///< values of absent arguments, from the schema
};

/// What one call will run: for checking examples, and for people.
struct RenderedCommand {
  std::vector<std::string> argv;
  std::string stdin_data;
  std::map<std::string, std::string> environment;
};

/// Errors (invalid_input) are for the model.
Result<RenderedCommand> render(const CommandSpec& spec, const Json& arguments);

std::unique_ptr<Runner> command_runner(CommandSpec spec);

}  // namespace sable::tools
