#include "runtime/session_parts.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/config/embedded_files.h"
#include "runtime/model_pack.h"
#include "runtime/net/http_client.h"
#include "runtime/opt_outs.h"
#include "runtime/remembered_approvals.h"

namespace sable::runtime {

namespace {

constexpr size_t kToolFileBytesMax = size_t{1} << 20;

/// The user's own tools: *.yaml in the configuration folder's tools/, in order of their names.
Result<void> add_user_tools(tools::Registry& registry, const config::LoadedConfig& loaded) {
  const auto user_folder = loaded.environment.user_folder();
  if (user_folder.empty()) return {};
  std::vector<std::filesystem::path> files;
  std::error_code none;
  for (std::filesystem::directory_iterator it(user_folder / "tools", none), end; !none && it != end;
       it.increment(none)) {
    if (it->path().extension() == ".yaml") files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    SABLE_TRY(const auto text, read_file(file, kToolFileBytesMax));
    SABLE_TRY_VOID(registry.add_yaml(text, file.string()));
  }
  return {};
}

}  // namespace

Result<TrustedParts> check_trust(const config::LoadedConfig& loaded,
                                 const std::filesystem::path& repository) {
  const config::TrustStore store(*loaded.config.home, system_clock());
  SABLE_TRY(auto brought, config::read_brought(repository));
  SABLE_TRY(auto verdict, store.check(std::move(brought)));
  TrustedParts parts{.notice = verdict.trusted ? std::string() : config::to_text(verdict)};
  parts.content = std::move(verdict.trusted);
  return parts;
}

tools::ProfileLookup profile_lookup(const config::LoadedConfig& loaded,
                                    const std::filesystem::path& repository) {
  return [loaded, repository](const std::string& name) {
    return config::policy_of_profile(loaded, name, repository);
  };
}

Result<tools::Registry> make_registry(const config::LoadedConfig& loaded,
                                      const std::filesystem::path& repository,
                                      const TrustedParts& trusted) {
  auto registry = tools::Registry::with_builtins();
  registry.use_profiles(profile_lookup(loaded, repository));
  SABLE_TRY_VOID(add_user_tools(registry, loaded));
  if (trusted.content) {
    for (const auto& file : trusted.content->tools()) {
      SABLE_TRY_VOID(registry.add_yaml(file.content, file.path));
    }
  }
  for (const auto* tool : registry.list()) {
    const auto approval = config::approval_of(loaded.config, tool->name, tool->approval);
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

Result<std::set<std::string>> always_allowed(const config::LoadedConfig& loaded,
                                             const std::filesystem::path& repository) {
  SABLE_TRY(auto allowed, RememberedApprovals(*loaded.config.home).in(repository));
  for (const auto& [name, settings] : loaded.config.tools) {
    if (settings.approval.origin.layer == config::Layer::repository) allowed.erase(name);
  }
  return allowed;
}

Result<agent::PromptTexts> built_in_prompt_texts() {
  for (const auto& file : config::embedded_files()) {
    if (file.path != "models/prompt.yaml") continue;
    SABLE_TRY(auto texts, agent::parse_prompt_texts(file.content, file.path));
    texts.source = "our own wording";
    return texts;
  }
  return fail(ErrorCode::not_found, "this build has no models/prompt.yaml");
}

namespace {

/// Connections to model endpoints, with the chosen provider's own certificate authority if it has
/// one.
Result<std::unique_ptr<agent::HttpTransport>> make_transport(const config::LoadedConfig& loaded) {
  SABLE_TRY(const auto choice, config::choose_model(loaded));
  HttpClientOptions options;
  if (choice.provider != nullptr && !choice.provider->ca_file->empty()) {
    options.extra_ca_file = config::expand_home(*choice.provider->ca_file, loaded.environment);
  }
  SABLE_TRY(auto client, HttpClient::create(std::move(options)));
  return std::unique_ptr<agent::HttpTransport>(std::move(client));
}

Result<std::unique_ptr<agent::Provider>> engine_provider(const config::ModelChoice& choice,
                                                         const EngineParts& engine) {
  const auto card = choice.card.value_or(config::ModelCard{});
  agent::EngineModelOptions options{
      .name = choice.card ? choice.name : choice.path.filename().string(),
      .thinking = card.thinking,
      .effort = card.effort,
      .sampling = card.sampling,
      .reply_tokens_max = card.reply_tokens_max};
  if (options.name.empty()) options.name = choice.path.parent_path().filename().string();
  SABLE_TRY(options.texts, built_in_prompt_texts());
  SABLE_TRY(auto model, engine.models.open(choice.path, std::move(options)));
  return agent::make_engine_provider(std::move(model), engine.workers);
}

/// The provider that `model` names. not_found says what is missing and how to name a model; denied
/// when an endpoint's key variable is not set.
Result<std::unique_ptr<agent::Provider>> make_provider(const Program& program,
                                                       const config::LoadedConfig& loaded,
                                                       agent::HttpTransport& transport,
                                                       const EngineParts& engine, const Log& log) {
  SABLE_TRY(const auto choice, config::choose_model(loaded));
  if (choice.provider == nullptr) {
    if (!choice.path.empty()) return engine_provider(choice, engine);
    return fail(ErrorCode::not_found,
                "no model: the embedded model's weights are not there (sable model list). Name an "
                "endpoint that speaks "
                "OpenAI Chat Completions: --base-url URL --model NAME [--api-key-env VARIABLE], "
                "or weights: --model PATH, or set model and providers in the configuration (sable "
                "config show)");
  }
  std::string key;
  const auto& variable = *choice.provider->api_key_env;
  if (!variable.empty()) {
    key = program.variable(variable);
    if (key.empty()) {
      return fail(
          ErrorCode::denied,
          fmt::format("provider {}: the variable {} is not set; put the endpoint's key in it",
                      choice.name, variable));
    }
  }
  return agent::make_openai_provider(
      config::to_openai_options(choice.name, *choice.provider, std::move(key)), transport, log);
}

/// A model that was trained with another prompt than this program has still works, but worse.
Result<void> check_prompt(const config::ModelCard& card, const agent::AgentConfig& agent,
                          const Log& log) {
  if (card.prompt_digest.empty()) return {};
  SABLE_TRY(auto texts, built_in_prompt_texts());
  std::error_code error;
  if (std::filesystem::exists(card.weights, error)) {
    SABLE_TRY(texts, agent::load_prompt_texts(card.weights, std::move(texts)));
  }
  SABLE_TRY(const std::string digest, prompt_digest(agent, texts));
  if (digest != card.prompt_digest) {
    log.warning(
        fmt::format("the model {} was trained with another prompt than the agent {} has "
                    "here (sable model card {})",
                    card.name, agent.name, card.name));
  }
  return {};
}

/// Agent, policy, limits, approval mode. A model that was trained for an agent of its own gets that
/// one unless somebody chose another; then `log` is told that they do not fit.
Result<agent::SessionSetup> make_setup(const config::LoadedConfig& loaded,
                                       const std::filesystem::path& repository,
                                       const TrustedParts& trusted, const Log& log) {
  SABLE_TRY(const auto agents,
            config::load_agents(loaded, trusted.content ? &*trusted.content : nullptr));
  SABLE_TRY(const auto choice, config::choose_model(loaded));
  auto agent_name = loaded.config.agent;
  const std::string own = choice.card ? choice.card->agent : "";
  if (!own.empty() && agent_name.origin.layer == config::Layer::built_in) agent_name.value = own;
  if (!own.empty() && *agent_name != own) {
    log.warning(
        fmt::format("the model {} was trained for the agent {}, not for {}: expect little "
                    "of it; --agent {} fits",
                    choice.name, own, *agent_name, own));
  }
  SABLE_TRY(auto definition, config::find_agent(agents, agent_name));
  if (choice.card && definition.config.name == own) {
    SABLE_TRY_VOID(check_prompt(*choice.card, definition.config, log));
  }
  agent::SessionSetup setup;
  setup.repository = repository;
  setup.agent = std::move(definition.config);
  setup.policy = config::to_policy(loaded, repository);
  setup.approval = *loaded.config.approve;
  SABLE_TRY(setup.always_allowed, always_allowed(loaded, repository));
  setup.limits = config::to_turn_limits(loaded.config.limits);
  if (definition.steps_max > 0 &&
      loaded.config.limits.steps.origin.layer == config::Layer::built_in) {
    setup.limits.steps_max = definition.steps_max;
  }
  setup.record["program"] = std::string("sable ") + kVersion;
  setup.record["agent_origin"] = definition.origin.text();
  if (definition.version > 0) setup.record["agent_version"] = definition.version;
  if (trusted.content) setup.record["trusted"] = trusted.content->digest();
  setup.opt_outs = opt_outs(loaded, setup.policy);
  return setup;
}

}  // namespace

Result<ConfiguredRepository> configured_repository(const Program& program,
                                                   const std::string& folder) {
  SABLE_TRY(auto root, resolve_repository(folder));
  SABLE_TRY(auto loaded, program.load_config(root));
  return ConfiguredRepository{std::move(root), std::move(loaded)};
}

Result<SessionParts> make_session_parts(const Program& program, const config::LoadedConfig& loaded,
                                        const std::filesystem::path& repository,
                                        const EngineParts& engine, const Log& log) {
  SABLE_TRY(const auto trusted, check_trust(loaded, repository));
  if (!trusted.notice.empty()) log.warning(trusted.notice);
  SessionParts parts;
  SABLE_TRY(parts.registry, make_registry(loaded, repository, trusted));
  SABLE_TRY(parts.setup, make_setup(loaded, repository, trusted, log));
  SABLE_TRY(parts.transport, make_transport(loaded));
  SABLE_TRY(parts.provider, make_provider(program, loaded, *parts.transport, engine, log));
  return parts;
}

}  // namespace sable::runtime
