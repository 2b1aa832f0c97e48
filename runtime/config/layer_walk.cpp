#include "runtime/config/layer_walk.h"

#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/config/assign.h"
#include "runtime/config/one_line.h"
#include "runtime/config/text_checks.h"

namespace sable::runtime::config {

const Setting* setting_named(std::string_view pattern) {
  for (const auto& setting : settings()) {
    if (setting.key == pattern) return &setting;
  }
  return nullptr;
}

namespace {

const OpenMapping* open_mapping_named(std::string_view prefix) {
  for (const auto& mapping : open_mappings()) {
    if (mapping.prefix == prefix) return &mapping;
  }
  return nullptr;
}

std::string joined(std::string_view prefix, std::string_view key) {
  return prefix.empty() ? std::string(key) : fmt::format("{}.{}", prefix, key);
}

/// The keys that may stand directly below `prefix` ("" is the top), in the table's order.
std::vector<std::string> keys_below(std::string_view prefix) {
  std::vector<std::string> keys;
  const std::string start = prefix.empty() ? "" : std::string(prefix) + ".";
  for (const auto& setting : settings()) {
    if (setting.key.substr(0, start.size()) != start) continue;
    const auto rest = setting.key.substr(start.size());
    const std::string key(rest.substr(0, rest.find('.')));
    if (keys.empty() || keys.back() != key) keys.push_back(key);
  }
  return keys;
}

/// What somebody who wrote an unknown key most likely wants.
std::string advice_for(std::string_view prefix, std::string_view key) {
  if (key.find('.') != std::string_view::npos && setting_named(joined(prefix, key)) != nullptr) {
    return "nest it, one mapping below another";
  }
  const auto known = keys_below(prefix);
  if (const auto near = nearest(key, known); !near.empty()) {
    return fmt::format("did you mean {}?", near);
  }
  for (const auto& setting : settings()) {
    const auto dot = setting.key.rfind('.');
    if (dot != std::string_view::npos && setting.key.substr(dot + 1) == key) {
      return fmt::format("did you mean {}?", with_name(setting.key, "NAME"));
    }
  }
  return fmt::format("known here: {}", fmt::join(known, ", "));
}

/// Walks one layer's tree and assigns what it finds.
class LayerWalk {
 public:
  LayerWalk(Config& config, Origin where) : config_(config), where_(std::move(where)) {}

  /// `pattern` is the place in the table ("providers.*"), `name` what its "*" stands for.
  Result<void> mapping(const YamlValue& node, const std::string& pattern, const std::string& name) {
    if (node.kind == YamlValue::Kind::null) return {};
    if (node.kind != YamlValue::Kind::mapping) {
      return refuse(node, with_name(pattern, name), "expected a mapping of settings");
    }
    for (const auto& [key, value] : node.entries) {
      SABLE_TRY_VOID(entry(key, value, pattern, name));
    }
    return {};
  }

 private:
  Result<void> entry(const YamlValue& key, const YamlValue& value, const std::string& pattern,
                     const std::string& name) {
    const auto child = joined(pattern, key.scalar);
    // "*" and "." are the table's signs for any name and for nesting; in a file they mean nothing.
    const bool wild = key.scalar.find_first_of("*.") != std::string::npos;
    if (const auto* setting = wild ? nullptr : setting_named(child)) {
      return assign(*setting, name, value, where_, config_);
    }
    if (const auto* open = wild ? nullptr : open_mapping_named(child)) {
      return open_mapping(*open, value);
    }
    if (!wild && !key.scalar.empty() && !keys_below(child).empty()) {
      return mapping(value, child, name);
    }
    if (pattern == "providers.*" && key.scalar == "api_key") {
      return refuse(
          key, with_name(child, name),
          "a key does not belong into a file; put it into an environment variable and name "
          "that in api_key_env");
    }
    return refuse(key, "",
                  fmt::format("unknown setting \"{}\"; {}", shown(child, name),
                              advice_for(pattern, key.scalar)));
  }

  Result<void> open_mapping(const OpenMapping& open, const YamlValue& node) {
    const std::string prefix(open.prefix);
    if (node.kind == YamlValue::Kind::null) return {};
    if (node.kind != YamlValue::Kind::mapping) {
      return refuse(node, prefix, fmt::format("expected a mapping from {}", open.what));
    }
    const auto pattern = prefix + ".*";
    for (const auto& [key, value] : node.entries) {
      const auto& name = key.scalar;
      if (!(open.variables ? is_variable_name(name) : is_word(name))) {
        return refuse(key, prefix,
                      open.variables
                          ? "expected a variable's name of letters, digits and \"_\""
                          : fmt::format("expected {} of 1 to 64 letters, digits, \"_\" and "
                                        "\"-\"",
                                        open.what));
      }
      if (const auto* setting = setting_named(pattern)) {
        SABLE_TRY_VOID(assign(*setting, name, value, where_, config_));
        continue;
      }
      if (value.kind == YamlValue::Kind::null ||
          (value.kind == YamlValue::Kind::mapping && value.entries.empty())) {
        return refuse(key, with_name(pattern, name), "nothing is set for it");
      }
      SABLE_TRY_VOID(mapping(value, pattern, name));
    }
    return {};
  }

  static std::string shown(const std::string& pattern, const std::string& name) {
    const auto text = with_name(pattern, name);
    return one_line(std::string_view(text).substr(0, utf8_prefix(text, 100)));
  }

  tl::unexpected<Error> refuse(const YamlValue& node, std::string_view key,
                               std::string_view why) const {
    return refuse_at(ErrorCode::invalid_input, place_of(node, where_), key, why);
  }

  Config& config_;
  Origin where_;
};

}  // namespace

Result<void> assign_tree(const YamlValue& tree, const Origin& where, std::string_view section,
                         Config& config) {
  return LayerWalk(config, where).mapping(tree, std::string(section), "");
}

}  // namespace sable::runtime::config
