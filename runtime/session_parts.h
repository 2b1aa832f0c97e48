// What a session is made of, put together from the configuration.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
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

/// The built-in tools, the user's own, and the repository's if they are trusted; approval classes
/// as configured and as remembered. Errors name the file and place.
Result<tools::Registry> make_registry(const config::LoadedConfig& loaded,
                                      const std::filesystem::path& repository,
                                      const TrustedParts& trusted);

/// Connections to model endpoints, with the chosen provider's own certificate authority if it has
/// one.
Result<std::unique_ptr<agent::HttpTransport>> make_transport(const config::LoadedConfig& loaded);

/// What providers borrow; outlives them.
struct ProviderParts {
  agent::HttpTransport& transport;
  Models& models;
  asio::thread_pool& workers;
  Log log;
};

/// The provider that `model` names. not_found says what is missing and how to name a model; denied
/// when an endpoint's key variable is not set. May open a model: blocking.
Result<std::unique_ptr<agent::Provider>> make_provider(const Program& program,
                                                       const config::LoadedConfig& loaded,
                                                       const ProviderParts& parts);

/// The fixed texts of prompts for models that bring none: our own wording.
Result<agent::PromptTexts> built_in_prompt_texts();

/// The rest: agent, policy, limits, approval mode. A model that was trained for an agent of its own
/// gets that one unless somebody chose another; then `log` is told that they do not fit.
Result<agent::SessionSetup> make_setup(const config::LoadedConfig& loaded,
                                       const std::filesystem::path& repository,
                                       const TrustedParts& trusted, const Log& log);

}  // namespace sable::runtime
