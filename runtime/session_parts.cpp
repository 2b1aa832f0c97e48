#include "runtime/session_parts.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/config/embedded_files.h"
#include "runtime/net/http_client.h"
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

Result<tools::Registry> make_registry(const config::LoadedConfig& loaded,
                                      const std::filesystem::path& repository,
                                      const TrustedParts& trusted) {
  auto registry = tools::Registry::with_builtins();
  SABLE_TRY_VOID(add_user_tools(registry, loaded));
  if (trusted.content) {
    for (const auto& file : trusted.content->tools()) {
      SABLE_TRY_VOID(registry.add_yaml(file.content, file.path));
    }
  }
  SABLE_TRY(const auto remembered, RememberedApprovals(*loaded.config.home).in(repository));
  for (const auto* tool : registry.list()) {
    auto approval = config::approval_of(loaded.config, tool->name, tool->approval);
    const auto configured = loaded.config.tools.find(tool->name);
    const bool repository_asks =
        configured != loaded.config.tools.end() &&
        configured->second.approval.origin.layer == config::Layer::repository;
    if (approval == tools::Approval::ask && !repository_asks && remembered.contains(tool->name)) {
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
    options.extra_ca_file = config::expand_home(*choice.provider->ca_file, loaded.environment);
  }
  SABLE_TRY(auto client, HttpClient::create(std::move(options)));
  return std::unique_ptr<agent::HttpTransport>(std::move(client));
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

Result<std::unique_ptr<agent::Provider>> engine_provider(const config::ModelChoice& choice,
                                                         const ProviderParts& parts) {
  const auto card = choice.card.value_or(config::ModelCard{});
  agent::EngineModelOptions options{
      .name = choice.card ? choice.name : choice.path.filename().string(),
      .thinking = card.thinking,
      .effort = card.effort,
      .sampling = card.sampling};
  if (options.name.empty()) options.name = choice.path.parent_path().filename().string();
  SABLE_TRY(options.texts, built_in_prompt_texts());
  SABLE_TRY(auto model, parts.models.open(choice.path, std::move(options)));
  return agent::make_engine_provider(std::move(model), parts.workers);
}

}  // namespace

Result<std::unique_ptr<agent::Provider>> make_provider(const Program& program,
                                                       const config::LoadedConfig& loaded,
                                                       const ProviderParts& parts) {
  SABLE_TRY(const auto choice, config::choose_model(loaded));
  if (choice.provider == nullptr) {
    if (!choice.path.empty()) return engine_provider(choice, parts);
    return fail(ErrorCode::not_found,
                "no model: this build has no embedded model yet. Name an endpoint that speaks "
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
      config::to_openai_options(choice.name, *choice.provider, std::move(key)), parts.transport,
      parts.log);
}

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
  agent::SessionSetup setup;
  setup.repository = repository;
  setup.agent = std::move(definition.config);
  setup.policy = config::to_policy(loaded, repository);
  setup.approval = *loaded.config.approve;
  setup.limits = config::to_turn_limits(loaded.config.limits);
  setup.record["program"] = std::string("sable ") + kVersion;
  setup.record["agent_origin"] = definition.origin.text();
  if (definition.version > 0) setup.record["agent_version"] = definition.version;
  if (trusted.content) setup.record["trusted"] = trusted.content->digest();
  Json opt_outs = Json::array();
  if (loaded.no_sandbox) opt_outs.push_back("no sandbox: --no-sandbox");
  if (setup.policy.network == sandbox::Network::open) {
    opt_outs.push_back("network open: " + loaded.config.sandbox.network.origin.text());
  }
  if (!opt_outs.empty()) setup.record["opt_outs"] = std::move(opt_outs);
  return setup;
}

}  // namespace sable::runtime
