// What a session is made of, put together from the configuration.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/agent.h"
#include "runtime/config/agents.h"
#include "runtime/config/trust.h"
#include "runtime/engine/models.h"
#include "runtime/program.h"
#include "tools/tools.h"

namespace sable::runtime {

/// What a repository brings, as far as the user has accepted it.
struct TrustedParts {
  std::optional<config::TrustedContent> content;
  std::string notice;  ///< for people, when something was left out: what, and `sable trust`
};

Result<TrustedParts> check_trust(const config::LoadedConfig& loaded,
                                 const std::filesystem::path& repository);

/// The profiles that a YAML file of tools can name. `loaded` is copied.
tools::ProfileLookup profile_lookup(const config::LoadedConfig& loaded,
                                    const std::filesystem::path& repository);

/// What a person allowed for good, without what the repository wants to be asked about again.
Result<std::set<std::string>> always_allowed(const config::LoadedConfig& loaded,
                                             const std::filesystem::path& repository);

/// The built-in tools, the user's own, and the repository's if they are trusted; approval classes
/// as configured. Errors name the file and place.
Result<tools::Registry> make_registry(const config::LoadedConfig& loaded,
                                      const std::filesystem::path& repository,
                                      const TrustedParts& trusted);

/// What a session borrows while it lives, made from the configuration for one repository.
struct SessionParts {
  tools::Registry registry;
  std::unique_ptr<agent::HttpTransport> transport;
  std::unique_ptr<agent::Provider> provider;
  agent::SessionSetup setup;
};

/// What providers need of the program; outlives them.
struct EngineParts {
  Models& models;
  asio::thread_pool& workers;
};

/// A repository and what whoever works in it has configured.
struct ConfiguredRepository {
  std::filesystem::path root;  ///< absolute and real
  config::LoadedConfig loaded;
};

/// The repository that lies in this folder (empty: here), with all layers of its configuration. A
/// session always goes on under those of the folder that it was begun in.
Result<ConfiguredRepository> configured_repository(const Program& program,
                                                   const std::string& folder);

/// Trust, tools, agent and model of `repository`. What was left out for want of trust is told to
/// `log`. Blocking: may open a model. Errors: see the functions of the single parts.
Result<SessionParts> make_session_parts(const Program& program, const config::LoadedConfig& loaded,
                                        const std::filesystem::path& repository,
                                        const EngineParts& engine, const Log& log);

/// The fixed texts of prompts for models that bring none: our own wording.
Result<agent::PromptTexts> built_in_prompt_texts();

}  // namespace sable::runtime
