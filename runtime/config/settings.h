// The one table of what can be set: parsing, `sable config show` and docs/configuration.md read it.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "runtime/config/config.h"

namespace sable::runtime::config {

/// What a repository's file may do to a setting.
enum class Narrowing {
  refused,   ///< nothing: setting it is an error
  lower,     ///< a number: only downwards
  stricter,  ///< a choice: only towards the end of its list
  add,       ///< a list: only further items
};

inline constexpr uint64_t kUnbounded = std::numeric_limits<int64_t>::max();

enum class Type { text, choice, count, size, duration, number, list };

/// Names of a choice, from the widest permission to the narrowest where that has a meaning.
template <class E>
struct Choices;

template <>
struct Choices<sandbox::Network> {
  static constexpr std::array<std::pair<std::string_view, sandbox::Network>, 4> kAll = {
      {{"open", sandbox::Network::open},
       {"allow", sandbox::Network::allow},
       {"loopback", sandbox::Network::loopback},
       {"none", sandbox::Network::none}}};
};
template <>
struct Choices<sandbox::FileEffects> {
  static constexpr std::array<std::pair<std::string_view, sandbox::FileEffects>, 2> kAll = {
      {{"direct", sandbox::FileEffects::direct},
       {"transaction", sandbox::FileEffects::transaction}}};
};
template <>
struct Choices<agent::ApprovalMode> {
  static constexpr std::array<std::pair<std::string_view, agent::ApprovalMode>, 3> kAll = {
      {{"all", agent::ApprovalMode::all},
       {"ask", agent::ApprovalMode::ask},
       {"none", agent::ApprovalMode::none}}};
};
template <>
struct Choices<tools::Approval> {
  static constexpr std::array<std::pair<std::string_view, tools::Approval>, 3> kAll = {
      {{"allow", tools::Approval::allow},
       {"ask", tools::Approval::ask},
       {"deny", tools::Approval::deny}}};
};
template <>
struct Choices<LogLevel> {
  static constexpr std::array<std::pair<std::string_view, LogLevel>, 6> kAll = {
      {{"trace", LogLevel::trace},
       {"debug", LogLevel::debug},
       {"info", LogLevel::info},
       {"warning", LogLevel::warning},
       {"error", LogLevel::error},
       {"off", LogLevel::off}}};
};

/// Where a value lives in a Config. `name` is what stands for the "*" in the key.
template <class T>
struct Slot {
  using Target = T;
  /// Makes the entry if it is not there.
  T& (*write)(Config&, const std::string& name);
  /// nullptr when there is no such entry.
  const T* (*read)(const Config&, const std::string& name);
};

using AnySlot =
    std::variant<Slot<Value<std::string>>, Slot<Value<uint64_t>>,
                 Slot<Value<std::chrono::milliseconds>>, Slot<Value<std::optional<double>>>,
                 Slot<Value<std::optional<uint64_t>>>, Slot<Value<sandbox::Network>>,
                 Slot<Value<sandbox::FileEffects>>, Slot<Value<agent::ApprovalMode>>,
                 Slot<Value<tools::Approval>>, Slot<Value<LogLevel>>, Slot<TextList>>;

/// What else must hold for a text. The message never repeats the text: it may be a secret.
using TextCheck = Result<void> (*)(std::string_view text);

struct Setting {
  std::string_view key;  ///< "sandbox.memory", "providers.*.base_url"
  Type type;
  AnySlot slot;
  std::string_view description;  ///< one sentence, Markdown
  Narrowing repository = Narrowing::refused;
  uint64_t minimum = 0;  ///< of counts, sizes (bytes) and durations (milliseconds)
  uint64_t maximum = kUnbounded;
  double lowest = 0, highest = 0;  ///< of numbers
  TextCheck check = nullptr;       ///< of a text, or of each item of a list
  bool adds_up = false;            ///< a list: layers add to it instead of replacing it
};

std::span<const Setting> settings();

/// A mapping whose keys people choose.
struct OpenMapping {
  std::string_view prefix;  ///< "providers"
  std::string_view what;    ///< "a provider's name"
  bool variables = false;   ///< its keys are names of environment variables
  std::vector<std::string> (*names)(const Config&);
};

std::span<const OpenMapping> open_mappings();

/// The mapping of people's own names that the setting is in, or nullptr.
const OpenMapping* open_mapping_of(const Setting& setting);

/// The key with `name` in place of "*".
std::string with_name(std::string_view key, std::string_view name);

/// The built-in layer alone: the defaults.
Result<Config> built_in_config();

/// The table of all settings as docs/configuration.md has it; `built_in` gives the defaults.
std::string settings_markdown(const Config& built_in);

}  // namespace sable::runtime::config
