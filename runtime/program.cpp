#include "runtime/program.h"

#include <cstdio>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "runtime/terminal/output.h"

namespace sable::runtime {

std::string Program::variable(const std::string& name) const {
  const auto it = invocation.variables.find(name);
  return it == invocation.variables.end() ? std::string() : it->second;
}

Result<config::LoadedConfig> Program::load_config(
    const std::optional<std::filesystem::path>& repository) const {
  config::Sources sources{.environment = {.home = variable("HOME"),
                                          .xdg_config_home = variable("XDG_CONFIG_HOME"),
                                          .xdg_data_home = variable("XDG_DATA_HOME"),
                                          .sable_home = variable("SABLE_HOME"),
                                          .installed_models = installed_models()},
                          .repository = repository,
                          .flags = flags};
  if (!profile.empty()) sources.profile = profile;
  if (!config_file.empty()) sources.file = config_file;
  if (!base_url.empty()) {
    // A provider of the command line, under a name of its own.
    static constexpr const char* kName = "endpoint";
    if (model.empty()) {
      return fail(ErrorCode::invalid_input,
                  "--base-url needs --model, the name of a model at that endpoint");
    }
    const auto set = [&](const char* flag, const char* key, const std::string& value) {
      sources.flags.push_back({flag, fmt::format("providers.{}.{}", kName, key), value});
    };
    set("--base-url", "base_url", base_url);
    set("--model", "model", model);
    if (!api_key_env.empty()) set("--api-key-env", "api_key_env", api_key_env);
    sources.flags.push_back({"--base-url", "model", kName});
  } else if (!model.empty()) {
    sources.flags.push_back({"--model", "model", model});
  }
  if (!log_level.empty()) sources.flags.push_back({"--log-level", "log_level", log_level});
  auto loaded = config::load(sources);
  if (loaded) loaded->no_sandbox = no_sandbox;
  return loaded;
}

std::filesystem::path Program::installed_models() const {
  const auto folder = std::filesystem::path(invocation.executable).parent_path();
  return (folder / "../share/sable/models").lexically_normal();
}

Result<std::unique_ptr<sandbox::Sandbox>> Program::start_sandbox() const {
  if (no_sandbox) return sandbox::without_sandbox();
  return sandbox::Sandbox::start(std::filesystem::path(invocation.executable).parent_path() /
                                 "sable-launcher");
}

bool Program::colour(int fd) const {
  return ::isatty(fd) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

int Program::fail_with(const Error& error, int status) const {
  std::fprintf(stderr, "sable: %s\n", escape_controls(error.message).c_str());
  if (json) {
    const Json object{{"error", {{"code", name_of(error.code)}, {"message", error.message}}}};
    std::fprintf(stdout, "%s\n", dump_json(object).c_str());
  }
  return status;
}

int Program::status_once_written(Output& out) const {
  const auto written = out.drain();
  return written ? 0 : fail_with(written.error());
}

Result<std::filesystem::path> resolve_repository(const std::string& text) {
  std::error_code error;
  const std::filesystem::path given = text.empty() ? "." : text;
  auto real = std::filesystem::canonical(given, error);
  if (error) {
    return fail(ErrorCode::not_found, "repository " + given.string() + ": " + error.message() +
                                          "; name an existing folder with --repo");
  }
  if (!std::filesystem::is_directory(real, error)) {
    return fail(ErrorCode::invalid_input,
                "repository " + real.string() + ": not a folder; name one with --repo");
  }
  return real;
}

}  // namespace sable::runtime
