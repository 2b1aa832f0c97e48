#include "runtime/config/agents.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/yaml.h"
#include "runtime/config/assign.h"
#include "runtime/config/embedded_files.h"
#include "runtime/config/layer_walk.h"
#include "runtime/config/one_line.h"
#include "runtime/config/text_checks.h"

namespace sable::runtime::config {

namespace {

constexpr size_t kAgentBytesMax = size_t{256} << 10;
constexpr size_t kAgentFilesMax = 256;
constexpr size_t kPromptBytesMax = size_t{64} << 10;

/// Reads the keys of one file, one after the other; each error names its place.
class AgentReader {
 public:
  AgentReader(const Origin& file, const Config& defaults) : file_(file), scratch_(defaults) {
    definition.config.name.clear();  // it has a default, which would hide that a file names none
  }

  Result<void> read(const YamlValue& tree) {
    if (tree.kind != YamlValue::Kind::mapping) {
      return refuse(tree, "", "expected a mapping with name and system_prompt");
    }
    for (const auto& [key, value] : tree.entries) {
      SABLE_TRY_VOID(entry(key, value));
    }
    definition.config.sampling = to_sampling(scratch_.sampling);
    definition.origin = file_;
    if (definition.config.name.empty()) return refuse(tree, "name", "is missing");
    if (definition.config.system_prompt.empty()) return refuse(tree, "system_prompt", "is missing");
    return {};
  }

  tl::unexpected<Error> refuse(const YamlValue& node, std::string_view key,
                               std::string_view why) const {
    return refuse_at(ErrorCode::invalid_input, place_of(node, file_), key, why);
  }

  AgentDefinition definition;

 private:
  Result<void> entry(const YamlValue& key, const YamlValue& value) {
    static const std::vector<std::string> kKeys = {"name",          "version", "description",
                                                   "system_prompt", "tools",   "read_instructions",
                                                   "max_steps",     "sampling"};
    const auto& name = key.scalar;
    auto& config = definition.config;
    if (name == "name") return text(key, value, check_word, config.name);
    if (name == "description") return text(key, value, check_line, definition.description);
    if (name == "system_prompt") return prompt(key, value);
    if (name == "tools") return tools(key, value);
    if (name == "sampling") {
      // A file that gets here was written or accepted by the user: it is not held to narrowing.
      Origin where = file_;
      where.layer = Layer::user;
      return assign_tree(value, where, "sampling", scratch_);
    }
    if (name == "version") {
      const auto number = value.as_int();
      if (!number || *number < 1) return refuse(value, name, "expected a number from 1");
      definition.version = static_cast<int>(*number);
      return {};
    }
    if (name == "max_steps") {
      const auto number = value.as_int();
      if (!number || *number < 1 || *number > 1'000'000) {
        return refuse(value, name, "expected a number from 1 to 1000000");
      }
      definition.steps_max = static_cast<int>(*number);
      return {};
    }
    if (name == "read_instructions") {
      const auto flag = value.as_bool();
      if (!flag) return refuse(value, name, "expected true or false");
      config.read_instructions = *flag;
      return {};
    }
    const auto near = nearest(name, kKeys);
    const auto shown = one_line(std::string_view(name).substr(0, utf8_prefix(name, 100)));
    return refuse(key, "",
                  near.empty() ? fmt::format("unknown key \"{}\"; known here: {}", shown,
                                             fmt::join(kKeys, ", "))
                               : fmt::format("unknown key \"{}\"; did you mean {}?", shown, near));
  }

  Result<void> text(const YamlValue& key, const YamlValue& value,
                    Result<void> (*check)(std::string_view), std::string& out) const {
    if (value.kind != YamlValue::Kind::scalar) return refuse(value, key.scalar, "expected text");
    if (auto good = check(value.scalar); !good) {
      return refuse(value, key.scalar, good.error().message);
    }
    out = value.scalar;
    return {};
  }

  Result<void> prompt(const YamlValue& key, const YamlValue& value) {
    if (value.kind != YamlValue::Kind::scalar || value.scalar.empty()) {
      return refuse(value, key.scalar, "expected text");
    }
    if (value.scalar.size() > kPromptBytesMax) {
      return refuse(value, key.scalar, fmt::format("longer than {} bytes", kPromptBytesMax));
    }
    definition.config.system_prompt = value.scalar;
    return {};
  }

  Result<void> tools(const YamlValue& key, const YamlValue& value) {
    if (value.kind != YamlValue::Kind::sequence) {
      return refuse(value, key.scalar, "expected a list of tools' names");
    }
    if (value.items.empty()) {
      return refuse(value, key.scalar, "an empty list; leave the key out to offer every tool");
    }
    auto& names = definition.config.tools;
    for (const auto& item : value.items) {
      std::string name;
      if (item.kind == YamlValue::Kind::mapping) {
        SABLE_TRY(name, offer(key, item));
      } else {
        SABLE_TRY_VOID(text(key, item, check_word, name));
      }
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        return refuse(item, key.scalar, name + " stands here twice");
      }
      names.push_back(std::move(name));
    }
    return {};
  }

  /// {name, description, parameters: {NAME: DESCRIPTION}}: the agent's own words for a tool.
  Result<std::string> offer(const YamlValue& key, const YamlValue& item) {
    std::string name;
    agent::ToolOffer offer;
    for (const auto& [field, value] : item.entries) {
      if (field.scalar == "name") {
        SABLE_TRY_VOID(text(field, value, check_word, name));
      } else if (field.scalar == "description") {
        SABLE_TRY_VOID(text(field, value, check_line, offer.description));
      } else if (field.scalar == "parameters") {
        SABLE_TRY_VOID(parameters(field, value, offer));
      } else {
        return refuse(field, key.scalar,
                      fmt::format("unknown key \"{}\"; known here: name, description, parameters",
                                  one_line(field.scalar)));
      }
    }
    if (name.empty()) return refuse(item, key.scalar, "name is missing");
    definition.config.offers[name] = std::move(offer);
    return name;
  }

  Result<void> parameters(const YamlValue& key, const YamlValue& value, agent::ToolOffer& offer) {
    if (value.kind != YamlValue::Kind::mapping) {
      return refuse(value, key.scalar, "expected parameters' names with their descriptions");
    }
    offer.parameters.emplace();
    for (const auto& [name, description] : value.entries) {
      std::string words;
      if (description.kind != YamlValue::Kind::null) {
        SABLE_TRY_VOID(text(name, description, check_line, words));
      }
      offer.parameters->emplace_back(name.scalar, std::move(words));
    }
    return {};
  }

  Origin file_;
  Config scratch_;
};

/// Adds the agent of one file. Only a user's may replace one of the same name.
Result<void> add(std::string_view text, const Origin& file, const Config& defaults,
                 std::vector<AgentDefinition>& agents) {
  const auto name = std::filesystem::path(file.source).stem().string();
  SABLE_TRY(auto agent, parse_agent(text, file, name, defaults));
  const auto same = std::find_if(agents.begin(), agents.end(),
                                 [&](const auto& other) { return other.config.name == name; });
  if (same == agents.end()) {
    agents.push_back(std::move(agent));
    return {};
  }
  if (file.layer != Layer::user) {
    return refuse_at(ErrorCode::denied, agent.origin, "name",
                     fmt::format("there is an agent \"{}\" already ({}); a repository's own needs "
                                 "another name",
                                 name, same->origin.text()));
  }
  *same = std::move(agent);
  return {};
}

Result<std::set<std::filesystem::path>> user_files(const std::filesystem::path& folder) {
  std::set<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() != ".yaml") continue;
    if (files.size() == kAgentFilesMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: more than {} agents", folder.string(), kAgentFilesMax));
    }
    files.insert(entry->path());
  }
  if (error) return fail_errno(folder.string(), error.value());
  return files;
}

}  // namespace

Result<AgentDefinition> parse_agent(std::string_view text, const Origin& file,
                                    std::string_view expected_name, const Config& defaults) {
  SABLE_TRY(const auto tree, parse_yaml(text, escape_controls(file.source)));
  AgentReader reader(file, defaults);
  SABLE_TRY_VOID(reader.read(tree));
  if (reader.definition.config.name != expected_name) {
    return reader.refuse(
        *tree.find("name"), "name",
        fmt::format("expected {}, as the file is called", one_line(expected_name)));
  }
  return std::move(reader.definition);
}

Result<std::vector<AgentDefinition>> load_agents(const LoadedConfig& loaded,
                                                 const TrustedContent* trusted) {
  std::vector<AgentDefinition> agents;
  for (const auto& file : embedded_files()) {
    if (std::filesystem::path(file.path).parent_path() != "agents") continue;
    const Origin origin{.layer = Layer::built_in, .source = std::string(file.path)};
    SABLE_TRY_VOID(add(file.content, origin, loaded.config, agents));
  }
  if (const auto folder = loaded.environment.user_folder(); !folder.empty()) {
    SABLE_TRY(const auto files, user_files(folder / "agents"));
    for (const auto& path : files) {
      SABLE_TRY(const auto text, read_file(path, kAgentBytesMax));
      const Origin origin{.layer = Layer::user, .source = path.string()};
      SABLE_TRY_VOID(add(text, origin, loaded.config, agents));
    }
  }
  if (trusted != nullptr) {
    for (const auto& file : trusted->agents()) {
      const Origin origin{.layer = Layer::repository,
                          .source = (trusted->repository() / file.path).string()};
      SABLE_TRY_VOID(add(file.content, origin, loaded.config, agents));
    }
  }
  std::sort(agents.begin(), agents.end(),
            [](const auto& a, const auto& b) { return a.config.name < b.config.name; });
  return agents;
}

Result<AgentDefinition> find_agent(const std::vector<AgentDefinition>& agents,
                                   const Value<std::string>& name) {
  std::vector<std::string> names;
  for (const auto& agent : agents) {
    if (agent.config.name == *name) return agent;
    names.push_back(agent.config.name);
  }
  const auto near = nearest(*name, names);
  return refuse_at(ErrorCode::not_found, name.origin, "agent",
                   fmt::format("no agent \"{}\"; {}", one_line(*name),
                               near.empty() ? fmt::format("there are: {}", fmt::join(names, ", "))
                                            : fmt::format("did you mean {}?", near)));
}

}  // namespace sable::runtime::config
