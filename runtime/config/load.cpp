// Reads the layers, weakest first, into one Config.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "base/yaml.h"
#include "runtime/config/assign.h"
#include "runtime/config/config.h"
#include "runtime/config/embedded_files.h"
#include "runtime/config/layer_walk.h"
#include "runtime/config/one_line.h"
#include "runtime/config/repository_reader.h"
#include "runtime/config/settings.h"
#include "runtime/config/text_checks.h"

namespace sable::runtime::config {

namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr std::string_view kRepositoryFile = ".sable/config.yaml";

Result<void> read_text(std::string_view text, const Origin& where, Config& config) {
  SABLE_TRY(const auto tree, parse_yaml(text, escape_controls(where.source)));
  return assign_tree(tree, where, "", config);
}

std::string_view embedded(std::string_view path) {
  for (const auto& file : embedded_files()) {
    if (file.path == path) return file.content;
  }
  return {};
}

// ---------------------------------------------------------------- the layers

Result<void> read_user(LoadedConfig& loaded) {
  const auto folder = loaded.environment.user_folder();
  if (folder.empty()) return {};
  const auto path = folder / "config.yaml";
  auto text = read_file(path, kFileBytesMax);
  const bool found = text || text.error().code != ErrorCode::not_found;
  loaded.files.push_back({.layer = Layer::user, .path = path.string(), .found = found});
  if (!found) return {};
  if (!text) return fail(text.error());
  return read_text(*text, {.layer = Layer::user, .source = path.string()}, loaded.config);
}

Result<void> read_repository(const std::filesystem::path& repository, LoadedConfig& loaded) {
  SABLE_TRY(const auto reader, RepositoryReader::open(repository));
  SABLE_TRY(const auto text, reader.read(kRepositoryFile, kFileBytesMax));
  const auto path = (reader.root() / kRepositoryFile).string();
  loaded.files.push_back({.layer = Layer::repository, .path = path, .found = text.has_value()});
  if (!text) return {};
  return read_text(*text, {.layer = Layer::repository, .source = path}, loaded.config);
}

Result<void> read_config_file(const std::filesystem::path& path, LoadedConfig& loaded) {
  SABLE_TRY(const auto text, read_file(path, kFileBytesMax));
  loaded.files.push_back({.layer = Layer::config_file, .path = path.string(), .found = true});
  return read_text(text, {.layer = Layer::config_file, .source = path.string()}, loaded.config);
}

std::vector<std::string> profile_names(const std::filesystem::path& user_folder) {
  std::set<std::string> names;
  for (const auto& file : embedded_files()) {
    const std::filesystem::path path(file.path);
    if (path.parent_path() == "profiles") names.insert(path.stem().string());
  }
  std::error_code ignored;  // no folder, no names
  for (std::filesystem::directory_iterator entry(user_folder / "profiles", ignored), end;
       !ignored && entry != end; entry.increment(ignored)) {
    if (entry->path().extension() == ".yaml") names.insert(entry->path().stem().string());
  }
  return {names.begin(), names.end()};
}

/// Where a profile is said, and its text: the user's own, else the built-in one.
struct ProfileText {
  std::string source, text;
};

Result<ProfileText> find_profile(const std::string& profile,
                                 const std::filesystem::path& user_folder, bool built_in_only) {
  const std::string name = fmt::format("profiles/{}.yaml", profile);
  if (is_word(profile)) {
    const auto path = user_folder / name;
    auto own = user_folder.empty() || built_in_only
                   ? Result<std::string>(fail(ErrorCode::not_found, ""))
                   : read_file(path, kFileBytesMax);
    if (own) return ProfileText{path.string(), std::move(*own)};
    if (own.error().code != ErrorCode::not_found) return fail(own.error());
    if (std::string text(embedded(name)); !text.empty()) return ProfileText{name, std::move(text)};
  }
  const auto names = profile_names(user_folder);
  const auto near = nearest(profile, names);
  return fail(ErrorCode::not_found, near.empty()
                                        ? fmt::format("no sandbox profile \"{}\"; there are: {}",
                                                      one_line(profile), fmt::join(names, ", "))
                                        : fmt::format("no sandbox profile \"{}\"; did you mean {}?",
                                                      one_line(profile), near));
}

/// `heirs`: the sources that inherit from this one, the last heir last. One that inherits its own
/// name means the built-in profile that it replaces.
Result<void> assign_profile(const std::string& profile, std::vector<std::string> heirs,
                            bool built_in_only, LoadedConfig& loaded) {
  SABLE_TRY(const auto found,
            find_profile(profile, loaded.environment.user_folder(), built_in_only));
  if (std::find(heirs.begin(), heirs.end(), found.source) != heirs.end()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: inherits itself, by way of {}", escape_controls(found.source),
                            escape_controls(heirs.back())));
  }
  const auto shown = escape_controls(found.source);
  SABLE_TRY(auto tree, parse_yaml(found.text, shown));
  if (const auto* base = tree.find("inherits")) {
    const auto name = base->as_string();
    if (!name) return fail_in(shown + ":" + base->place(), name.error());
    heirs.push_back(found.source);
    const auto assigned = assign_profile(*name, std::move(heirs), *name == profile, loaded);
    if (!assigned) return fail_in(shown + ":" + base->place(), assigned.error());
  }
  // Besides the keys of `sandbox`, a profile may say what it is for and what it builds on.
  std::erase_if(tree.entries, [](const auto& entry) {
    const auto& key = entry.first.scalar;
    return (key == "description" || key == "inherits") &&
           entry.second.kind == YamlValue::Kind::scalar;
  });
  return assign_tree(tree, {.layer = Layer::profile, .source = found.source}, "sandbox",
                     loaded.config);
}

Result<void> read_profile(const std::string& profile, LoadedConfig& loaded) {
  loaded.profile = profile;
  return assign_profile(profile, {}, false, loaded);
}

Result<void> read_flags(const std::vector<Flag>& flags, Config& config) {
  std::set<std::string> lists_begun;
  for (const auto& flag : flags) {
    // Map keys hold no dots, so the setting is the one whose pattern fits.
    const Setting* setting = setting_named(flag.key);
    std::string name;
    if (setting == nullptr) {
      for (const auto& mapping : open_mappings()) {
        const auto start = std::string(mapping.prefix) + ".";
        if (flag.key.rfind(start, 0) != 0) continue;
        name = flag.key.substr(start.size());
        const auto dot = name.find('.');
        const auto rest = dot == std::string::npos ? "" : name.substr(dot);
        name.resize(std::min(dot, name.size()));
        setting = setting_named(start + "*" + rest);
      }
    }
    SABLE_CHECK(setting != nullptr);  // the command line names settings of the table
    const Origin where{.layer = Layer::flag, .source = flag.name};
    YamlValue value;
    value.kind = YamlValue::Kind::scalar;
    value.scalar = flag.value;
    if (setting->type == Type::list) {
      YamlValue list;
      list.kind = YamlValue::Kind::sequence;
      list.items.push_back(std::move(value));
      const bool first = lists_begun.insert(flag.key).second;
      auto& slot = std::get<Slot<TextList>>(setting->slot);
      const auto before =
          first || setting->adds_up ? TextList{}.items : slot.read(config, name)->items;
      SABLE_TRY_VOID(assign(*setting, name, list, where, config));
      auto& now = slot.write(config, name).items;
      now.insert(now.begin(), before.begin(), before.end());
      continue;
    }
    SABLE_TRY_VOID(assign(*setting, name, value, where, config));
  }
  return {};
}

// ---------------------------------------------------------------- when all layers are read

Result<void> finish_providers(Config& config) {
  for (auto& [name, provider] : config.providers) {
    auto& url = provider.base_url.value;
    while (!url.empty() && url.back() == '/') url.pop_back();
    const auto place = [&] {
      for (const Origin* origin :
           {&provider.base_url.origin, &provider.model.origin, &provider.api_key_env.origin,
            &provider.idle_timeout.origin, &provider.ca_file.origin}) {
        if (!origin->source.empty()) return *origin;
      }
      return Origin{};
    };
    const auto refuse = [&](std::string_view missing) {
      return refuse_at(ErrorCode::invalid_input, place(), "providers." + name,
                       fmt::format("{} is missing", missing));
    };
    if (url.empty()) return refuse("base_url");
    if (provider.model->empty()) return refuse("model");
  }
  return {};
}

Result<void> finish_home(const Environment& environment, Config& config) {
  auto& home = config.home;
  if (home->empty()) {
    const std::filesystem::path data(environment.xdg_data_home);
    if (data.is_absolute()) {
      home.value = (data / "sable").string();
    } else if (!environment.home.empty()) {
      home.value = (std::filesystem::path(environment.home) / ".local/share/sable").string();
    } else {
      return fail(ErrorCode::invalid_input,
                  "home: nowhere to keep sessions, since HOME is not set; set SABLE_HOME");
    }
    home.origin = {};
  }
  std::error_code error;
  const auto absolute = std::filesystem::absolute(expand_home(*home, environment), error);
  if (error) return fail_errno("home", error.value());
  home.value = absolute.lexically_normal().string();
  return {};
}

}  // namespace

std::filesystem::path Environment::user_folder() const {
  if (std::filesystem::path(xdg_config_home).is_absolute()) {
    return std::filesystem::path(xdg_config_home) / "sable";
  }
  if (home.empty()) return {};
  return std::filesystem::path(home) / ".config/sable";
}

Result<Config> built_in_config() {
  const std::string_view path = "default.yaml";
  Config config;
  SABLE_TRY_VOID(
      read_text(embedded(path), {.layer = Layer::built_in, .source = std::string(path)}, config));
  return config;
}

Result<LoadedConfig> load(const Sources& sources) {
  LoadedConfig loaded;
  loaded.environment = sources.environment;
  SABLE_TRY(loaded.config, built_in_config());
  SABLE_TRY_VOID(read_user(loaded));
  if (sources.repository) {
    SABLE_TRY_VOID(read_repository(*sources.repository, loaded));
  }
  if (const auto& home = sources.environment.sable_home; !home.empty()) {
    loaded.config.home = {home, {.layer = Layer::environment, .source = "SABLE_HOME"}};
  }
  if (sources.file) {
    SABLE_TRY_VOID(read_config_file(*sources.file, loaded));
  }
  SABLE_TRY_VOID(read_profile(sources.profile, loaded));
  SABLE_TRY_VOID(read_flags(sources.flags, loaded.config));
  SABLE_TRY_VOID(finish_providers(loaded.config));
  SABLE_TRY_VOID(finish_home(sources.environment, loaded.config));
  return loaded;
}

Result<sandbox::Policy> policy_of_profile(const LoadedConfig& loaded, const std::string& profile,
                                          const std::filesystem::path& repository) {
  LoadedConfig under = loaded;
  SABLE_TRY_VOID(read_profile(profile, under));
  return to_policy(under, repository);
}

}  // namespace sable::runtime::config
