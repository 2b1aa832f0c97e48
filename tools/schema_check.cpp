// A value against a compiled schema: every 2020-12 assertion, with violations that a model can act
// on.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/json_pointer.h"
#include "tools/schema.h"
#include "tools/schema_words.h"

namespace sable::tools {

namespace {

constexpr size_t kViolationsMax = 8;

/// Where in the value a check stands; lives on the stack.
struct Path {
  const Path* above = nullptr;
  std::string_view key;
  size_t index = 0;
  bool is_index = false;

  std::string pointer() const {
    if (above == nullptr) return {};
    return above->pointer() + "/" + (is_index ? std::to_string(index) : json_pointer_part(key));
  }
};

/// Which parts of a value were looked at, for "unevaluatedItems" and "unevaluatedProperties".
struct Evaluated {
  size_t n_items = 0;  ///< the first so many
  std::set<size_t> items;
  std::set<std::string_view> properties;

  void add(const Evaluated& other) {
    n_items = std::max(n_items, other.n_items);
    items.insert(other.items.begin(), other.items.end());
    properties.insert(other.properties.begin(), other.properties.end());
  }
};

/// In UTF-8 every code point has one byte that is not a continuation.
uint64_t code_points(std::string_view text) {
  return static_cast<uint64_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
  }));
}

using Violations = std::vector<Violation>;

class Checker {
 public:
  explicit Checker(const Schema& schema) : schema_(schema) {}

  Violations run(const Json& value) {
    Violations violations;
    Evaluated evaluated;
    (void)apply(0, value, Path{}, evaluated, violations);
    if (!gave_up_.empty())
      violations = {{.expected = gave_up_, .got = std::string(type_name(value))}};
    return violations;
  }

 private:
  /// Whether `value` fits node `index`; else violations says why. A failed subschema evaluates
  /// nothing.
  bool apply(SchemaIndex index, const Json& value, const Path& path, Evaluated& outer,
             Violations& violations) {
    if (!spend(1)) return false;
    const SchemaNode& node = schema_.nodes()[index];
    if (depth_ == schema_.limits().recursion_max) {
      gave_up_ = "a value that can be checked without going round in references for ever";
      return false;
    }
    ++depth_;
    const bool enters = scope_.empty() || scope_.back() != node.resource;
    if (enters) scope_.push_back(node.resource);
    const size_t n_before = violations.size();
    Evaluated evaluated;
    const bool fits = apply_node(node, value, path, evaluated, violations);
    if (fits) {
      violations.resize(n_before);  // of alternatives that did not matter
      outer.add(evaluated);
    }
    if (enters) scope_.pop_back();
    --depth_;
    return fits && gave_up_.empty();
  }

  /// For subschemas whose failure is no violation of its own.
  bool would_fit(SchemaIndex index, const Json& value, const Path& path, Evaluated& evaluated) {
    Violations ignored;
    return apply(index, value, path, evaluated, ignored);
  }

  bool spend(size_t steps) {
    n_steps_ += steps;
    if (n_steps_ <= schema_.limits().steps_max) return true;
    if (gave_up_.empty()) gave_up_ = "a value that can be checked with less effort";
    return false;
  }

  bool violate(const SchemaNode& node, const Path& path, std::string expected, std::string got,
               Violations& violations) {
    if (violations.size() < kViolationsMax) {
      violations.push_back({path.pointer(), std::move(expected), std::move(got), node.location});
    }
    return false;
  }

  bool apply_node(const SchemaNode& node, const Json& value, const Path& path, Evaluated& evaluated,
                  Violations& violations) {
    if (node.always) {
      if (*node.always) return true;
      return violate(node, path, "nothing here", shown(value), violations);
    }
    bool fits = check_type(node, value, path, violations);
    // A value of the wrong type breaks nothing else that is worth telling.
    if (!fits) return false;
    fits = check_values(node, value, path, violations) && fits;
    if (value.is_number()) fits = check_number(node, value, path, violations) && fits;
    if (value.is_string()) fits = check_string(node, value, path, violations) && fits;
    if (value.is_array()) fits = check_array(node, value, path, evaluated, violations) && fits;
    if (value.is_object()) fits = check_object(node, value, path, evaluated, violations) && fits;
    fits = check_references(node, value, path, evaluated, violations) && fits;
    fits = check_combinations(node, value, path, evaluated, violations) && fits;
    fits = check_condition(node, value, path, evaluated, violations) && fits;
    if (value.is_array())
      fits = check_unevaluated_items(node, value, path, evaluated, violations) && fits;
    if (value.is_object()) {
      fits = check_unevaluated_properties(node, value, path, evaluated, violations) && fits;
    }
    return fits;
  }

  bool check_type(const SchemaNode& node, const Json& value, const Path& path,
                  Violations& violations) {
    if (!node.types) return true;
    uint8_t type = SchemaNode::object;
    if (value.is_null()) type = SchemaNode::null_;
    if (value.is_boolean()) type = SchemaNode::boolean;
    if (value.is_string()) type = SchemaNode::string;
    if (value.is_array()) type = SchemaNode::array;
    if (value.is_number()) {
      type = SchemaNode::number;
      if (Decimal(value).is_integer()) type |= SchemaNode::integer;
    }
    if ((*node.types & type) != 0) return true;
    return violate(node, path, types_in_words(*node.types),
                   fmt::format("{}: {}", type_name(value), shown(value)), violations);
  }

  bool check_values(const SchemaNode& node, const Json& value, const Path& path,
                    Violations& violations) {
    if (!node.values || node.value_texts.contains(canonical_text(value))) return true;
    return violate(node, path, values_in_words(*node.values), shown(value), violations);
  }

  bool check_number(const SchemaNode& node, const Json& value, const Path& path,
                    Violations& violations) {
    const Decimal number(value);
    const auto broken = [&](std::string_view what, const char* keyword) {
      // The bound as it is written in the schema.
      const Json& bound = schema_.document().at(Json::json_pointer(node.location)).at(keyword);
      return violate(node, path, fmt::format("{} {}", what, dump_json(bound)), shown(value),
                     violations);
    };
    bool fits = true;
    if (node.minimum && number < *node.minimum) fits = broken("a number of at least", "minimum");
    if (node.maximum && number > *node.maximum) fits = broken("a number of at most", "maximum");
    if (node.above && number <= *node.above) fits = broken("a number above", "exclusiveMinimum");
    if (node.below && number >= *node.below) fits = broken("a number below", "exclusiveMaximum");
    if (node.multiple_of && !number.is_multiple_of(*node.multiple_of)) {
      fits = broken("a multiple of", "multipleOf");
    }
    return fits;
  }

  bool check_count(const SchemaNode& node, const Path& path, uint64_t n,
                   std::optional<uint64_t> least, std::optional<uint64_t> most,
                   std::string_view noun, Violations& violations) {
    const auto got = fmt::format("{} {}", n, noun);
    if (least && n < *least) {
      return violate(node, path, fmt::format("at least {} {}", *least, noun), got, violations);
    }
    if (most && n > *most) {
      return violate(node, path, fmt::format("at most {} {}", *most, noun), got, violations);
    }
    return true;
  }

  std::optional<bool> found(const Pattern& pattern, std::string_view text) {
    if (!spend(1 + text.size() / 64)) return std::nullopt;
    const auto result = pattern.found_in(text);
    if (!result && gave_up_.empty()) {
      gave_up_ = fmt::format("a text that the pattern {} can be tried on with less effort",
                             escape_controls(pattern.source()));
    }
    return result;
  }

  bool check_string(const SchemaNode& node, const Json& value, const Path& path,
                    Violations& violations) {
    const auto& text = value.get_ref<const std::string&>();
    bool fits = true;
    if (node.length_min || node.length_max) {
      fits = check_count(node, path, code_points(text), node.length_min, node.length_max,
                         "characters", violations);
    }
    if (node.pattern && !found(*node.pattern, text).value_or(false)) {
      fits = violate(node, path, "a string that matches " + escape_controls(node.pattern->source()),
                     shown(value), violations);
    }
    return fits;
  }

  bool check_array(const SchemaNode& node, const Json& value, const Path& path,
                   Evaluated& evaluated, Violations& violations) {
    bool fits =
        check_count(node, path, value.size(), node.items_min, node.items_max, "items", violations);
    if (node.unique_items) fits = check_unique(node, value, path, violations) && fits;
    for (size_t i = 0; i < value.size(); ++i) {
      const bool is_first = i < node.first_items.size();
      if (!is_first && !node.items) break;
      const SchemaIndex schema = is_first ? node.first_items[i] : *node.items;
      Evaluated below;
      const Path item{.above = &path, .index = i, .is_index = true};
      fits = apply(schema, value[i], item, below, violations) && fits;
      evaluated.n_items = i + 1;
    }
    if (node.contains) fits = check_contains(node, value, path, evaluated, violations) && fits;
    return fits;
  }

  bool check_unique(const SchemaNode& node, const Json& value, const Path& path,
                    Violations& violations) {
    std::set<std::string> seen;
    for (size_t i = 0; i < value.size(); ++i) {
      if (!spend(1)) return false;
      if (!seen.insert(canonical_text(value[i])).second) {
        return violate(node, path, "items that all differ",
                       fmt::format("{} twice", shown(value[i])), violations);
      }
    }
    return true;
  }

  bool check_contains(const SchemaNode& node, const Json& value, const Path& path,
                      Evaluated& evaluated, Violations& violations) {
    uint64_t n = 0;
    for (size_t i = 0; i < value.size(); ++i) {
      Evaluated below;
      const Path item{.above = &path, .index = i, .is_index = true};
      if (!would_fit(*node.contains, value[i], item, below)) continue;
      ++n;
      evaluated.items.insert(i);
    }
    const uint64_t least = node.contains_min.value_or(1);
    if (n < least) {
      return violate(node, path, fmt::format("at least {} items that fit \"contains\"", least),
                     fmt::format("{}", n), violations);
    }
    if (node.contains_max && n > *node.contains_max) {
      return violate(node, path,
                     fmt::format("at most {} items that fit \"contains\"", *node.contains_max),
                     fmt::format("{}", n), violations);
    }
    return true;
  }

  bool check_object(const SchemaNode& node, const Json& value, const Path& path,
                    Evaluated& evaluated, Violations& violations) {
    bool fits = check_count(node, path, value.size(), node.properties_min, node.properties_max,
                            "properties", violations);
    // Looking a name up costs the length of the object.
    const size_t n_lookups = node.required.size() + node.dependent_required.size();
    if (!spend(n_lookups * (1 + value.size() / 16))) return false;
    for (const auto& name : node.required) {
      if (value.contains(name)) continue;
      fits = violate(node, path, fmt::format("the property \"{}\"", escape_controls(name)),
                     "no such property", violations);
    }
    for (const auto& [name, needed] : node.dependent_required) {
      if (!value.contains(name)) continue;
      for (const auto& other : needed) {
        if (value.contains(other)) continue;
        fits = violate(node, path,
                       fmt::format("the property \"{}\" beside \"{}\"", escape_controls(other),
                                   escape_controls(name)),
                       "no such property", violations);
      }
    }
    for (const auto& [name, schema] : node.dependent_schemas) {
      if (value.contains(name)) fits = apply(schema, value, path, evaluated, violations) && fits;
    }
    for (const auto& [key, field] : value.items()) {
      fits = check_property(node, key, field, path, evaluated, violations) && fits;
    }
    return fits;
  }

  bool check_property(const SchemaNode& node, const std::string& key, const Json& field,
                      const Path& path, Evaluated& evaluated, Violations& violations) {
    const Path below{.above = &path, .key = key};
    Evaluated inside;
    bool fits = true, known = false;
    if (!spend(node.properties.size() / 16)) return false;
    if (node.property_names) {
      fits = apply(*node.property_names, Json(key), below, inside, violations);
    }
    for (const auto& [name, schema] : node.properties) {
      if (name != key) continue;
      known = true;
      fits = apply(schema, field, below, inside, violations) && fits;
    }
    for (const auto& [pattern, schema] : node.pattern_properties) {
      const auto matches = found(pattern, key);
      if (!matches) return false;
      if (!*matches) continue;
      known = true;
      fits = apply(schema, field, below, inside, violations) && fits;
    }
    if (!known && node.additional_properties) {
      known = true;
      fits = check_additional(node, key, field, below, violations) && fits;
    }
    if (known) evaluated.properties.insert(key);
    return fits;
  }

  bool check_additional(const SchemaNode& node, const std::string& key, const Json& field,
                        const Path& below, Violations& violations) {
    const SchemaNode& additional = schema_.nodes()[*node.additional_properties];
    if (additional.always == false) {
      std::vector<std::string> names;
      for (const auto& [name, schema] : node.properties) names.push_back(name);
      const std::string near = nearest(key, names);
      std::string expected = "no property of this name";
      if (!near.empty()) {
        expected += fmt::format(" (did you mean \"{}\"?)", escape_controls(near));
      } else if (!names.empty()) {
        expected += "; known are";
        for (size_t i = 0; i < std::min<size_t>(names.size(), 20); ++i) {
          expected += fmt::format("{} \"{}\"", i == 0 ? "" : ",", escape_controls(names[i]));
        }
      }
      return violate(additional, below, std::move(expected), shown(field), violations);
    }
    Evaluated inside;
    return apply(*node.additional_properties, field, below, inside, violations);
  }

  bool check_references(const SchemaNode& node, const Json& value, const Path& path,
                        Evaluated& evaluated, Violations& violations) {
    bool fits = true;
    if (node.reference) fits = apply(*node.reference, value, path, evaluated, violations);
    if (node.dynamic_reference) {
      auto [target, anchor] = *node.dynamic_reference;
      if (!anchor.empty()) {
        // The outermost resource on the way here that has such an anchor.
        for (const uint32_t resource : scope_) {
          const auto& anchors = schema_.dynamic_anchors()[resource];
          const auto it = anchors.find(anchor);
          if (it == anchors.end()) continue;
          target = it->second;
          break;
        }
      }
      fits = apply(target, value, path, evaluated, violations) && fits;
    }
    return fits;
  }

  bool check_combinations(const SchemaNode& node, const Json& value, const Path& path,
                          Evaluated& evaluated, Violations& violations) {
    bool fits = true;
    for (const SchemaIndex schema : node.all_of) {
      fits = apply(schema, value, path, evaluated, violations) && fits;
    }
    if (!node.any_of.empty()) {
      fits =
          check_alternatives(node, node.any_of, false, value, path, evaluated, violations) && fits;
    }
    if (!node.one_of.empty()) {
      fits =
          check_alternatives(node, node.one_of, true, value, path, evaluated, violations) && fits;
    }
    if (node.not_) {
      Evaluated ignored;
      if (would_fit(*node.not_, value, path, ignored)) {
        fits = violate(node, path, "a value that does not fit \"not\"", shown(value), violations);
      }
    }
    return fits;
  }

  bool check_alternatives(const SchemaNode& node, const std::vector<SchemaIndex>& alternatives,
                          bool exactly_one, const Json& value, const Path& path,
                          Evaluated& evaluated, Violations& violations) {
    size_t n_fitting = 0;
    std::vector<Violations> failures;
    for (const SchemaIndex schema : alternatives) {
      if (apply(schema, value, path, evaluated, failures.emplace_back())) ++n_fitting;
    }
    if (n_fitting == 1 || (n_fitting > 1 && !exactly_one)) return true;
    if (n_fitting > 1) {
      return violate(node, path, "a value that fits only one of the alternatives",
                     fmt::format("{}, which fits {} of them", shown(value), n_fitting), violations);
    }
    return explain_alternatives(node, failures, value, path, violations);
  }

  /// If every alternative fails at this very value, they are joined by "or"; otherwise the one that
  /// came furthest speaks.
  bool explain_alternatives(const SchemaNode& node, const std::vector<Violations>& failures,
                            const Json& value, const Path& path, Violations& violations) {
    const std::string here = path.pointer();
    const Violations* best = nullptr;
    std::string joined;
    std::set<std::string> said;
    for (const auto& failure : failures) {
      if (failure.empty()) continue;
      const bool is_deeper = failure[0].pointer.size() > here.size();
      if (is_deeper && (best == nullptr || failure.size() < best->size())) best = &failure;
      if (said.insert(failure[0].expected).second) {
        joined += (joined.empty() ? "" : ", or ") + failure[0].expected;
      }
    }
    if (best == nullptr) {
      const size_t kept = utf8_prefix(joined, 600);
      return violate(node, path, joined.substr(0, kept) + (kept < joined.size() ? "..." : ""),
                     fmt::format("{}: {}", type_name(value), shown(value)), violations);
    }
    for (const auto& violation : *best) {
      if (violations.size() < kViolationsMax) violations.push_back(violation);
    }
    return false;
  }

  bool check_condition(const SchemaNode& node, const Json& value, const Path& path,
                       Evaluated& evaluated, Violations& violations) {
    if (!node.if_) return true;
    const bool holds = would_fit(*node.if_, value, path, evaluated);
    const auto& next = holds ? node.then_ : node.else_;
    return !next || apply(*next, value, path, evaluated, violations);
  }

  bool check_unevaluated_items(const SchemaNode& node, const Json& value, const Path& path,
                               Evaluated& evaluated, Violations& violations) {
    if (!node.unevaluated_items) return true;
    bool fits = true;
    for (size_t i = evaluated.n_items; i < value.size(); ++i) {
      if (evaluated.items.contains(i)) continue;
      Evaluated below;
      const Path item{.above = &path, .index = i, .is_index = true};
      fits = apply(*node.unevaluated_items, value[i], item, below, violations) && fits;
    }
    evaluated.n_items = value.size();
    return fits;
  }

  bool check_unevaluated_properties(const SchemaNode& node, const Json& value, const Path& path,
                                    Evaluated& evaluated, Violations& violations) {
    if (!node.unevaluated_properties) return true;
    bool fits = true;
    for (const auto& [key, field] : value.items()) {
      if (evaluated.properties.contains(key)) continue;
      Evaluated below;
      const Path property{.above = &path, .key = key};
      fits = apply(*node.unevaluated_properties, field, property, below, violations) && fits;
      evaluated.properties.insert(key);
    }
    return fits;
  }

  const Schema& schema_;
  std::vector<uint32_t> scope_;  ///< resources on the way here, outermost first
  size_t depth_ = 0, n_steps_ = 0;
  std::string gave_up_;  ///< what was expected when the limits were reached
};

}  // namespace

std::vector<Violation> Schema::check(const Json& value) const { return Checker(*this).run(value); }

}  // namespace sable::tools
