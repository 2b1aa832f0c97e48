// The program's settings: typed, layered, and each one knows who set it.
//
// Layers, weakest first: built-in, user, repository, environment (SABLE_HOME only), --config FILE,
// the chosen sandbox profile, flags. A later layer overrides an earlier one; the repository's may
// only narrow what the layers before it allow. settings.cpp is the one table of what can be set;
// docs/configuration.md is checked against it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/agent.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "memory/memory.h"
#include "sandbox/sandbox.h"
#include "tools/tools.h"

namespace sable::runtime::config {

/// Who set a value, weakest first.
enum class Layer { built_in, user, repository, environment, config_file, profile, flag };

std::string_view name_of(Layer layer);

/// Where a value comes from.
struct Origin {
  Layer layer = Layer::built_in;
  std::string source;  ///< a file's path, a flag ("--timeout") or a variable; empty: the program
  int line = 0, column = 0;  ///< from 1, in files only

  /// "/home/me/.config/sable/config.yaml:3:8", "--timeout", "SABLE_HOME", or "built-in"; safe to
  /// print.
  std::string text() const;
};

/// A setting's value and who set it.
template <class T>
struct Value {
  T value{};
  Origin origin{};

  const T& operator*() const { return value; }
  const T* operator->() const { return &value; }
};

/// A list: who set it, and who brought each item.
struct TextList {
  std::vector<Value<std::string>> items;
  Origin origin{};
};

/// An endpoint that speaks OpenAI Chat Completions.
struct ProviderSettings {
  Value<std::string> base_url;  ///< without a slash at its end
  Value<std::string> model;
  Value<std::string> api_key_env;  ///< the variable that holds the key; empty: no key is sent
  Value<std::chrono::milliseconds> idle_timeout{std::chrono::minutes(2)};
  Value<std::string> ca_file;  ///< absolute or "~/..."; empty: the system's certificates
};

struct ToolSettings {
  Value<tools::Approval> approval;
};

struct SandboxSettings {
  Value<sandbox::Network> network;
  TextList allowed_hosts;  ///< sandbox::parse_allowed_host() takes each
  Value<sandbox::FileEffects> files;
  Value<std::chrono::milliseconds> timeout;
  Value<uint64_t> memory;  ///< bytes
  Value<uint64_t> processes;
  Value<uint64_t> output;     ///< bytes
  Value<uint64_t> temporary;  ///< bytes
  Value<uint64_t> disk;       ///< bytes
  TextList readable;          ///< absolute or "~/..."
  TextList masked;            ///< the same, or relative to the repository
  std::map<std::string, Value<std::string>> environment;
};

struct LimitSettings {
  Value<uint64_t> steps;
  Value<uint64_t> tool_calls;
  Value<std::chrono::milliseconds> time;
  Value<uint64_t> output_tokens;
};

struct SamplingSettings {
  Value<std::optional<double>> temperature;
  Value<std::optional<double>> top_p;
  Value<std::optional<uint64_t>> seed;
  Value<uint64_t> output_tokens_max;
};

struct ServerSettings {
  Value<std::string> listen;
  TextList allowed_origins;
  TextList allowed_hosts;
};

struct RetentionSettings {
  Value<std::optional<uint64_t>> days;
  Value<std::optional<uint64_t>> size;  ///< bytes
};

struct CacheSettings {
  Value<std::optional<uint64_t>> size;  ///< bytes
};

struct Config {
  Value<std::string> model;  ///< see choose_model()
  std::map<std::string, ProviderSettings> providers;
  Value<std::string> agent;
  Value<agent::ApprovalMode> approve;
  std::map<std::string, ToolSettings> tools;
  SandboxSettings sandbox;
  LimitSettings limits;
  SamplingSettings sampling;
  ServerSettings server;
  RetentionSettings retention;
  CacheSettings cache;
  Value<LogLevel> log_level;
  Value<std::string> home;  ///< after load() an absolute path
};

/// What the program's caller read from its environment, once, in main().
struct Environment {
  std::string home;                        ///< HOME
  std::string xdg_config_home;             ///< XDG_CONFIG_HOME
  std::string xdg_data_home;               ///< XDG_DATA_HOME
  std::string sable_home;                  ///< SABLE_HOME
  std::filesystem::path installed_models;  ///< the models that came with the program

  /// "$XDG_CONFIG_HOME/sable"; a relative XDG folder counts as unset (as its specification says).
  /// Empty when neither it nor HOME is set.
  std::filesystem::path user_folder() const;
};

/// A setting given on the command line.
struct Flag {
  std::string name;   ///< as people write it: "--timeout"
  std::string key;    ///< "sandbox.timeout"
  std::string value;  ///< as in YAML; a list's flag may be repeated, each adding one item
};

struct Sources {
  Environment environment;
  std::optional<std::filesystem::path> repository;  ///< its .sable/config.yaml, which is untrusted
  std::optional<std::filesystem::path> file;        ///< --config
  std::string profile = "tool";  ///< a sandbox profile, put on top of `sandbox`: configs/profiles/,
                                 ///< or profiles/ in the user's folder, which wins
  std::vector<Flag> flags;
};

/// A file that load() looked for.
struct LayerFile {
  Layer layer;
  std::string path;
  bool found = false;
};

struct LoadedConfig {
  Config config;
  Environment environment;
  std::string profile;
  std::vector<LayerFile> files;  ///< weakest first
  bool no_sandbox = false;       ///< of the command line alone; no layer sets it
};

/// Reads and checks all layers. Errors begin with "FILE:LINE:COLUMN: " or the flag's name and name
/// the setting: invalid_input (unknown key, wrong type, out of range, broken YAML), denied (a
/// repository that wants more than narrowing), not_found (no such --config file, repository or
/// profile), io.
Result<LoadedConfig> load(const Sources& sources);

/// Every setting with its value and origin:
/// {"profile": NAME, "files": [{layer, path, found}], "settings": [{key, value, text, layer,
/// source, line, column}]}; sizes in bytes and durations in milliseconds in `value`, as YAML writes
/// them in `text`; a list has "items": [{value, layer, source, line, column}] instead of `text`.
Json to_json(const LoadedConfig& loaded);

/// The same for people: one aligned line a setting, or an item of a list.
std::string to_text(const LoadedConfig& loaded);

// ---------------------------------------------------------------- what the settings become

/// A model by name: a file of models/ (runtime/config/model_cards.h).
struct ModelCard {
  std::string name;
  std::string description;        ///< one line for people
  std::filesystem::path weights;  ///< a folder with config.json and safetensors, or a GGUF file
  std::string agent;              ///< the one that it was trained for; empty: any
  bool thinking = true;
  agent::Effort effort = agent::Effort::low;
  inference::SamplingParameters sampling;  ///< what holds where nothing else is said
  uint64_t reply_tokens_max = 0;           ///< no reply of it is longer; 0: as sampling says
  /// SHA-256, in hexadecimal, of the prompt that its agent begins with and of what tools answer
  /// (runtime/model_pack.h), as they were when it was trained; empty: nobody has pinned them.
  std::string prompt_digest, tool_results_digest;
  Origin origin;  ///< its file
};

/// The model that `model` names: one of `providers`, or weights on this machine (by a card's name
/// or by their path), or neither when `model` is empty and there is no embedded model. `provider`
/// points into the config.
struct ModelChoice {
  std::string name;  ///< of the provider or the card
  const ProviderSettings* provider = nullptr;
  std::optional<ModelCard> card;
  std::filesystem::path path;  ///< of weights
};

/// not_found names where `model` was set and the nearest provider or model.
Result<ModelChoice> choose_model(const LoadedConfig& loaded);

/// `api_key`: what the caller found in `provider.api_key_env`.
agent::OpenAiOptions to_openai_options(std::string name, const ProviderSettings& provider,
                                       std::string api_key);

/// The policy of tool calls, without its writable roots. `repository` resolves relative masks; when
/// it is empty they are left out. Sable's own home is always masked.
sandbox::Policy to_policy(const LoadedConfig& loaded, const std::filesystem::path& repository);

/// The same under another profile instead of the chosen one. not_found names those there are.
Result<sandbox::Policy> policy_of_profile(const LoadedConfig& loaded, const std::string& profile,
                                          const std::filesystem::path& repository);

agent::TurnLimits to_turn_limits(const LimitSettings& limits);

/// Which sessions the settings no longer keep; no limit where none is set.
memory::Retention to_retention(const RetentionSettings& retention);

agent::Sampling to_sampling(const SamplingSettings& sampling);

/// How a tool is approved: `own` is what its definition says. A user's setting replaces it; a
/// repository's only ever tightens it.
tools::Approval approval_of(const Config& config, const std::string& tool, tools::Approval own);

/// "~/x" as a path in the user's home; anything else as it is.
std::filesystem::path expand_home(std::string_view path, const Environment& environment);

}  // namespace sable::runtime::config
