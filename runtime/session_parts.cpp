#include "runtime/session_parts.h"

#include <cstdio>

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/net/http_client.h"
#include "runtime/remembered_approvals.h"

namespace sable::runtime {

Result<tools::Registry> make_registry(const Program&, const config::LoadedConfig& loaded,
                                      const std::filesystem::path& repository) {
  auto registry = tools::Registry::with_builtins();
  SABLE_TRY(const auto remembered, RememberedApprovals(*loaded.config.home).in(repository));
  for (const auto* tool : registry.list()) {
    auto approval = config::approval_of(loaded.config, tool->name, tool->approval);
    if (approval == tools::Approval::ask && remembered.contains(tool->name)) {
      approval = tools::Approval::allow;
    }
    SABLE_TRY_VOID(registry.set_approval(tool->name, approval));
  }
  for (const auto& [name, settings] : loaded.config.tools) {
    if (registry.find(name) == nullptr) {
      return fail(ErrorCode::not_found,
                  fmt::format("{}: tools.{}: there is no such tool; see sable tools list",
                              settings.approval.origin.text(), escape_controls(name)));
    }
  }
  return registry;
}

Result<std::unique_ptr<agent::HttpTransport>> make_transport(const config::LoadedConfig& loaded) {
  SABLE_TRY(const auto choice, config::choose_model(loaded));
  HttpClientOptions options;
  if (choice.provider != nullptr && !choice.provider->ca_file->empty()) {
    options.extra_ca_file =
        config::expand_home(*choice.provider->ca_file, loaded.environment);
  }
  SABLE_TRY(auto client, HttpClient::create(std::move(options)));
  return std::unique_ptr<agent::HttpTransport>(std::move(client));
}

Result<std::unique_ptr<agent::Provider>> make_provider(const Program& program,
                                                       const config::LoadedConfig& loaded,
                                                       agent::HttpTransport& transport,
                                                       const Log& log) {
  SABLE_TRY(const auto choice, config::choose_model(loaded));
  if (choice.provider == nullptr) {
    return fail(ErrorCode::not_found,
                choice.path.empty()
                    ? "no model: this build has no embedded model yet. Name an endpoint that speaks "
                      "OpenAI Chat Completions: --base-url URL --model NAME [--api-key-env VARIABLE], "
                      "or set model and providers in the configuration (sable config show)"
                    : fmt::format("model {}: the built-in engine cannot be an agent's model yet; name "
                                  "an endpoint with --base-url and --model",
                                  choice.path.string()));
  }
  std::string key;
  const auto& variable = *choice.provider->api_key_env;
  if (!variable.empty()) {
    key = program.variable(variable);
    if (key.empty()) {
      return fail(ErrorCode::denied,
                  fmt::format("provider {}: the variable {} is not set; put the endpoint's key in it",
                              choice.name, variable));
    }
  }
  return agent::make_openai_provider(
      config::to_openai_options(choice.name, *choice.provider, std::move(key)), transport, log);
}

Result<agent::SessionSetup> make_setup(const Program&, const config::LoadedConfig& loaded,
                                       const std::filesystem::path& repository) {
  agent::SessionSetup setup;
  setup.repository = repository;
  setup.policy = config::to_policy(loaded, repository);
  setup.approval = *loaded.config.approve;
  setup.limits = config::to_turn_limits(loaded.config.limits);
  setup.agent.sampling = config::to_sampling(loaded.config.sampling);
  setup.record["program"] = "sable 0.1.0";
  if (setup.policy.network == sandbox::Network::open) {
    setup.record["opt_outs"] = {"network open: " + loaded.config.sandbox.network.origin.text()};
  }
  return setup;
}

}  // namespace sable::runtime
