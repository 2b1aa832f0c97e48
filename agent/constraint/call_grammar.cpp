#include "agent/constraint/call_grammar.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "agent/constraint/decimal_bound.h"
#include "agent/prompt/spaced_json.h"
#include "base/text.h"
#include "tools/tools.h"

namespace sable::agent {

namespace {

using tools::Schema;
using tools::SchemaIndex;
using tools::SchemaNode;

constexpr uint8_t kAllTypes = SchemaNode::null_ | SchemaNode::boolean | SchemaNode::integer |
                              SchemaNode::number | SchemaNode::string | SchemaNode::array |
                              SchemaNode::object;
constexpr size_t kPropertiesMax = 63;
constexpr size_t kRulesMax = 20000;
constexpr int kDecimalsMax = 6;

std::vector<Symbol> symbols(std::string_view text) {
  std::vector<Symbol> result;
  for (const char c : text) result.push_back(static_cast<uint8_t>(c));
  return result;
}

}  // namespace

void SymbolTrie::add(const std::vector<Symbol>& string, int payload, unsigned group) {
  const uint64_t bit = uint64_t{1} << (group % 64);
  uint32_t at = 0;
  nodes[at].reach |= bit;
  for (const Symbol symbol : string) {
    auto& next = nodes[at].next;
    const auto it = std::find_if(next.begin(), next.end(),
                                 [&](const auto& edge) { return edge.first == symbol; });
    if (it != next.end()) {
      at = it->second;
    } else {
      const auto fresh = static_cast<uint32_t>(nodes.size());
      next.emplace_back(symbol, fresh);
      nodes.emplace_back();
      at = fresh;
    }
    nodes[at].reach |= bit;
  }
  nodes[at].payload = payload;
}

/// Turns compiled schemas into rules, one for each pair of subschema and types that count.
class GrammarCompiler {
 public:
  GrammarCompiler() {
    Rule any;
    any.null = any.boolean = true;
    any.texts.emplace_back();
    any.numbers.push_back(any_number(kDecimalsMax));
    any.arrays.emplace_back();
    any.objects.push_back({.others = kAnyRule});
    grammar_->rules_.push_back(std::move(any));
  }

  void add(const OfferedTool& tool) {
    const auto leave_out = [&](std::string_view why) {
      grammar_->left_out_.push_back(fmt::format("{}: {}", tool.name, why));
    };
    auto schema = Schema::compile(tool.parameters);
    if (!schema) return leave_out(schema.error().message);
    schema_ = &*schema;
    known_.clear();
    const RuleIndex rule = rule_of(0, SchemaNode::object);
    candidates_.push_back({tool.name, rule});
  }

  std::shared_ptr<const CallGrammar> finish() {
    find_depths();
    drop_impossible_choices();
    find_kinds();
    for (auto& rule : grammar_->rules_) {
      for (auto& object : rule.objects) {
        drop_impossible(object);
        write_names(object);
      }
    }
    for (auto& [name, rule] : candidates_) {
      const Rule* object = &grammar_->rules_[rule];
      RuleIndex at = rule;
      // A schema that is alternatives at the top: the first that can be met.
      while (object->objects.empty() && !object->alternatives.empty()) {
        const auto it = std::find_if(object->alternatives.begin(), object->alternatives.end(),
                                     [&](RuleIndex r) { return depth_of(r) != kNever; });
        if (it == object->alternatives.end()) break;
        at = *it;
        object = &grammar_->rules_[at];
      }
      if (object->objects.empty() || depth_of(at) > CallGrammar::kDepthMax) {
        grammar_->left_out_.push_back(fmt::format("{}: no arguments can fit its schema", name));
        continue;
      }
      grammar_->names_.add(symbols(name + "\">\n"), static_cast<int>(grammar_->tools_.size()), 0);
      grammar_->tools_.push_back({name, at});
    }
    return grammar_;
  }

 private:
  /// All subschemas that a value must fit at once, alternatives aside.
  std::vector<const SchemaNode*> conjuncts(SchemaIndex index) const {
    std::vector<SchemaIndex> open{index};
    std::set<SchemaIndex> seen;
    std::vector<const SchemaNode*> found;
    while (!open.empty()) {
      const SchemaIndex at = open.back();
      open.pop_back();
      if (!seen.insert(at).second) continue;
      const auto& node = schema_->nodes()[at];
      found.push_back(&node);
      if (node.reference) open.push_back(*node.reference);
      if (node.dynamic_reference) open.push_back(node.dynamic_reference->first);
      open.insert(open.end(), node.all_of.begin(), node.all_of.end());
    }
    return found;
  }

  RuleIndex rule_of(SchemaIndex index, uint8_t types) {
    const auto known = known_.find({index, types});
    if (known != known_.end()) return known->second;
    if (grammar_->rules_.size() >= kRulesMax) return kAnyRule;
    const auto fresh = static_cast<RuleIndex>(grammar_->rules_.size());
    known_[{index, types}] = fresh;
    grammar_->rules_.emplace_back();
    Rule rule = build(index, types);
    grammar_->rules_[fresh] = std::move(rule);
    return fresh;
  }

  Rule build(SchemaIndex index, uint8_t types) {
    const auto nodes = conjuncts(index);
    Rule rule;
    const std::vector<SchemaIndex>* alternatives = nullptr;
    const std::vector<Json>* values = nullptr;
    for (const auto* node : nodes) {
      if (node->always == false) return rule;
      if (node->types) types &= with_integers(*node->types);
      if (alternatives == nullptr && !node->any_of.empty()) alternatives = &node->any_of;
      if (alternatives == nullptr && !node->one_of.empty()) alternatives = &node->one_of;
      if (values == nullptr && node->values) values = &*node->values;
    }
    if (values != nullptr) {
      enumerate(*values, types, rule);
    } else if (alternatives != nullptr && !has_own_structure(nodes)) {
      for (const auto alternative : *alternatives) {
        rule.alternatives.push_back(rule_of(alternative, types));
      }
    } else {
      rule.null = (types & SchemaNode::null_) != 0;
      rule.boolean = (types & SchemaNode::boolean) != 0;
      if ((types & SchemaNode::string) != 0) add_text(nodes, rule);
      if ((types & (SchemaNode::number | SchemaNode::integer)) != 0) {
        add_number(nodes, (types & SchemaNode::number) != 0, rule);
      }
      if ((types & SchemaNode::array) != 0) add_array(nodes, rule);
      if ((types & SchemaNode::object) != 0) add_object(nodes, rule);
    }
    return rule;
  }

  /// A schema of type number allows integers too; one of type integer no other numbers.
  static uint8_t with_integers(uint8_t types) {
    return (types & SchemaNode::number) != 0 ? static_cast<uint8_t>(types | SchemaNode::integer)
                                             : types;
  }

  /// Whether properties stand beside alternatives: then these say more than the alternatives, which
  /// are often no more than "one of these must be there".
  static bool has_own_structure(const std::vector<const SchemaNode*>& nodes) {
    return std::any_of(nodes.begin(), nodes.end(),
                       [](const SchemaNode* node) { return !node->properties.empty(); });
  }

  static void enumerate(const std::vector<Json>& values, uint8_t types, Rule& rule) {
    for (size_t i = 0; i < values.size(); ++i) {
      const Json& value = values[i];
      const auto payload = static_cast<int>(i);
      if (value.is_string()) {
        if ((types & SchemaNode::string) == 0) continue;
        auto raw = symbols(value.get<std::string>() + "</");
        raw.push_back(kDsmlSymbol);
        rule.raw_values.add(raw, payload, 0);
        rule.quoted_values.add(symbols(spaced_json(value)), payload, 0);
        rule.has_raw_values = true;
        continue;
      }
      const uint8_t type = value.is_null()      ? SchemaNode::null_
                           : value.is_boolean() ? SchemaNode::boolean
                           : value.is_number()  ? SchemaNode::number | SchemaNode::integer
                           : value.is_array()   ? SchemaNode::array
                                                : SchemaNode::object;
      if ((types & type) == 0) continue;
      rule.json_values.add(symbols(spaced_json(value)), payload, 0);
      rule.has_json_values = true;
    }
  }

  static void add_text(const std::vector<const SchemaNode*>& nodes, Rule& rule) {
    Rule::Text text;
    for (const auto* node : nodes) {
      text.length_min = std::max(text.length_min, node->length_min.value_or(0));
      text.length_max = std::min(text.length_max, node->length_max.value_or(Rule::kUnbounded));
    }
    if (text.length_min <= text.length_max) rule.texts.push_back(text);
  }

  static Rule::Number any_number(int n_decimals) {
    constexpr int64_t kMost = 999'999'999'999'999'999;
    return {.n_decimals = n_decimals, .min = -kMost, .max = kMost};
  }

  static void add_number(const std::vector<const SchemaNode*>& nodes, bool decimals, Rule& rule) {
    Rule::Number number = any_number(decimals ? kDecimalsMax : 0);
    const int n = number.n_decimals;
    for (const auto* node : nodes) {
      if (node->minimum) number.min = std::max(number.min, bound_above(node->minimum->text(), n));
      if (node->above)
        number.min = std::max(number.min, bound_strictly_above(node->above->text(), n));
      if (node->maximum) number.max = std::min(number.max, bound_below(node->maximum->text(), n));
      if (node->below)
        number.max = std::min(number.max, bound_strictly_below(node->below->text(), n));
    }
    if (number.min <= number.max) rule.numbers.push_back(number);
  }

  void add_array(const std::vector<const SchemaNode*>& nodes, Rule& rule) {
    Rule::Array array;
    bool has_items = false;
    for (const auto* node : nodes) {
      array.items_min = std::max(array.items_min, node->items_min.value_or(0));
      array.items_max = std::min(array.items_max, node->items_max.value_or(Rule::kUnbounded));
      if (has_items || (node->first_items.empty() && !node->items)) continue;
      has_items = true;
      for (const auto item : node->first_items) array.first.push_back(rule_of(item, kAllTypes));
      if (node->items) array.rest = rule_of(*node->items, kAllTypes);
    }
    if (array.items_min <= array.items_max) rule.arrays.push_back(std::move(array));
  }

  void add_object(const std::vector<const SchemaNode*>& nodes, Rule& rule) {
    Rule::Object object;
    std::set<std::string> names, required;
    std::optional<SchemaIndex> others;
    bool closed = false;
    for (const auto* node : nodes) {
      object.n_min = std::max(object.n_min, node->properties_min.value_or(0));
      object.n_max = std::min(object.n_max, node->properties_max.value_or(Rule::kUnbounded));
      required.insert(node->required.begin(), node->required.end());
      for (const auto& [name, schema] : node->properties) {
        if (!can_be_written(name) || object.properties.size() == kPropertiesMax) continue;
        if (!names.insert(name).second) continue;
        object.properties.push_back({name, rule_of(schema, kAllTypes)});
      }
      if (node->additional_properties) {
        if (schema_->nodes()[*node->additional_properties].always == false) {
          closed = true;
        } else if (!others) {
          others = node->additional_properties;
        }
      }
    }
    for (const auto& name : required) {
      if (names.contains(name)) continue;
      if (closed || !can_be_written(name) || object.properties.size() == kPropertiesMax) return;
      names.insert(name);
      object.properties.push_back({name, others ? rule_of(*others, kAllTypes) : kAnyRule});
    }
    for (size_t i = 0; i < object.properties.size(); ++i) {
      if (required.contains(object.properties[i].name)) object.required |= uint64_t{1} << i;
    }
    if (object.properties.empty() && !closed) {
      object.others = others ? rule_of(*others, kAllTypes) : kAnyRule;
    }
    rule.objects.push_back(std::move(object));
  }

  /// Names stand raw between quotes.
  static bool can_be_written(std::string_view name) {
    return !name.empty() && is_utf8(name) && name.size() <= 256 &&
           std::none_of(name.begin(), name.end(), [](char c) {
             return c == '"' || c == '<' || c == '>' || static_cast<uint8_t>(c) < 0x20;
           });
  }

  // ---- what can be met at all

  uint32_t depth_of(RuleIndex index) const { return grammar_->rules_[index].depth; }

  static uint32_t one_more(uint32_t depth) { return depth == kNever ? kNever : depth + 1; }

  uint32_t depth_of(const Rule::Array& array) const {
    uint32_t deepest = 0;
    for (uint64_t i = 0; i < std::min<uint64_t>(array.items_min, array.first.size() + 1); ++i) {
      const RuleIndex item = i < array.first.size() ? array.first[i] : array.rest;
      deepest = std::max(deepest, item == kNoRule ? kNever : depth_of(item));
    }
    return one_more(deepest);
  }

  uint32_t depth_of(const Rule::Object& object) const {
    uint32_t deepest = 0;
    std::vector<uint32_t> optional;
    for (size_t i = 0; i < object.properties.size(); ++i) {
      const uint32_t depth = depth_of(object.properties[i].rule);
      if ((object.required >> i & 1) != 0) {
        deepest = std::max(deepest, depth);
      } else {
        optional.push_back(depth);
      }
    }
    const uint64_t n_required = object.properties.size() - optional.size();
    if (std::max(n_required, object.n_min) > object.n_max) return kNever;
    if (object.others == kNoRule && object.n_min > n_required) {
      const uint64_t n_further = object.n_min - n_required;
      if (n_further > optional.size()) return kNever;
      std::sort(optional.begin(), optional.end());
      deepest = std::max(deepest, optional[n_further - 1]);
    } else if (object.others != kNoRule && object.n_min > 0) {
      deepest = std::max(deepest, depth_of(object.others));
    }
    return one_more(deepest);
  }

  void find_depths() {
    for (bool changed = true; changed;) {
      changed = false;
      for (auto& rule : grammar_->rules_) {
        uint32_t depth = kNever;
        if (rule.null || rule.boolean || !rule.texts.empty() || !rule.numbers.empty() ||
            rule.has_raw_values || rule.has_json_values) {
          depth = 0;
        }
        for (const auto& array : rule.arrays) depth = std::min(depth, depth_of(array));
        for (const auto& object : rule.objects) depth = std::min(depth, depth_of(object));
        for (const auto other : rule.alternatives) depth = std::min(depth, depth_of(other));
        if (depth < rule.depth) {
          rule.depth = depth;
          changed = true;
        }
      }
    }
  }

  /// What no value fits, or only one that nests too deep, is no choice.
  void drop_impossible_choices() {
    const auto too_deep = [](uint32_t depth) { return depth >= CallGrammar::kDepthMax; };
    for (auto& rule : grammar_->rules_) {
      std::erase_if(rule.arrays, [&](const auto& array) { return too_deep(depth_of(array)); });
      std::erase_if(rule.objects, [&](const auto& object) { return too_deep(depth_of(object)); });
      std::erase_if(rule.alternatives, [&](RuleIndex r) { return too_deep(depth_of(r)); });
      if (too_deep(rule.depth)) rule.depth = kNever;
    }
  }

  /// Which rules have texts, and which other values.
  void find_kinds() {
    for (bool changed = true; changed;) {
      changed = false;
      for (auto& rule : grammar_->rules_) {
        bool text = !rule.texts.empty() || rule.has_raw_values;
        bool json = rule.null || rule.boolean || !rule.numbers.empty() || rule.has_json_values ||
                    !rule.arrays.empty() || !rule.objects.empty();
        for (const auto other : rule.alternatives) {
          text = text || grammar_->rules_[other].has_text;
          json = json || grammar_->rules_[other].has_json;
        }
        changed = changed || text != rule.has_text || json != rule.has_json;
        rule.has_text = text;
        rule.has_json = json;
      }
    }
  }

  /// Properties that no value fits are never written.
  void drop_impossible(Rule::Object& object) const {
    std::vector<Rule::Property> kept;
    uint64_t required = 0;
    for (size_t i = 0; i < object.properties.size(); ++i) {
      if (depth_of(object.properties[i].rule) == kNever) continue;
      if ((object.required >> i & 1) != 0) required |= uint64_t{1} << kept.size();
      kept.push_back(std::move(object.properties[i]));
    }
    object.properties = std::move(kept);
    object.required = required;
  }

  void write_names(Rule::Object& object) const {
    for (size_t i = 0; i < object.properties.size(); ++i) {
      const auto& [name, index] = object.properties[i];
      const auto group = static_cast<unsigned>(i);
      const auto payload = static_cast<int>(i);
      object.keys.add(symbols(dump_json(Json(name)) + ": "), payload, group);
      const Rule& rule = grammar_->rules_[index];
      if (rule.has_text) {
        object.parameters.add(symbols(name + "\" string=\"true\">"), 2 * payload + 1, group);
      }
      if (rule.has_json) {
        object.parameters.add(symbols(name + "\" string=\"false\">"), 2 * payload, group);
      }
    }
  }

  std::shared_ptr<CallGrammar> grammar_ = std::make_shared<CallGrammar>();
  const Schema* schema_ = nullptr;
  std::map<std::pair<SchemaIndex, uint8_t>, RuleIndex> known_;
  std::vector<std::pair<std::string, RuleIndex>> candidates_;
};

std::shared_ptr<const CallGrammar> CallGrammar::compile(const std::vector<OfferedTool>& tools) {
  GrammarCompiler compiler;
  for (const auto& tool : tools) compiler.add(tool);
  return compiler.finish();
}

}  // namespace sable::agent
