// What a session is made of, put together from the configuration.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "runtime/program.h"
#include "tools/tools.h"

namespace sable::runtime {

/// The built-in tools, the user's own, and the repository's if they are trusted; approval classes
/// as configured. Errors name the file and place. A repository's tools that are not trusted are
/// left out with a line on standard error that says how to look at them.
Result<tools::Registry> make_registry(const Program& program, const config::LoadedConfig& loaded,
                                      const std::filesystem::path& repository);

/// Connections to model endpoints, with the chosen provider's own certificate authority if it has one.
Result<std::unique_ptr<agent::HttpTransport>> make_transport(const config::LoadedConfig& loaded);

/// The provider that `model` names. not_found says what is missing and how to name a provider;
/// denied when its key variable is not set. `transport` outlives it.
Result<std::unique_ptr<agent::Provider>> make_provider(const Program& program,
                                                       const config::LoadedConfig& loaded,
                                                       agent::HttpTransport& transport,
                                                       const Log& log);

/// The rest: agent, policy, limits, approval mode.
Result<agent::SessionSetup> make_setup(const Program& program, const config::LoadedConfig& loaded,
                                       const std::filesystem::path& repository);

}  // namespace sable::runtime
