// Tool names and JSON Schemas as a grammar of DSML calls: what a constrained reply may say.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "agent/dsml/symbols.h"
#include "agent/provider.h"
#include "base/result.h"

namespace sable::agent {

/// Strings that share beginnings; each has a number.
struct SymbolTrie {
  struct Node {
    std::vector<std::pair<Symbol, uint32_t>> next;
    int payload = -1;    ///< of the string that ends here
    uint64_t reach = 0;  ///< bits of the groups of all strings below
  };
  std::vector<Node> nodes{1};

  /// `group` (below 64) is what a mask leaves out or lets in.
  void add(const std::vector<Symbol>& string, int payload, unsigned group);
};

using RuleIndex = uint32_t;
inline constexpr RuleIndex kAnyRule = 0;  ///< every JSON value
inline constexpr RuleIndex kNoRule = std::numeric_limits<RuleIndex>::max();
inline constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

/// What one schema allows, as alternatives of which each is exact: a value of the rule fits that
/// part of the schema which a grammar can carry.
struct Rule {
  static constexpr uint64_t kUnbounded = std::numeric_limits<uint64_t>::max() / 4;

  struct Text {
    uint64_t length_min = 0, length_max = kUnbounded;  ///< code points
  };
  /// Plain decimals of at most 18 digits; bounds in units of 10^-n_decimals.
  struct Number {
    int n_decimals = 0;
    int64_t min = 0, max = 0;
  };
  struct Array {
    uint64_t items_min = 0, items_max = kUnbounded;
    std::vector<RuleIndex> first;
    RuleIndex rest = kAnyRule;  ///< kNoRule: no items behind `first`
  };
  struct Property {
    std::string name;
    RuleIndex rule = kAnyRule;
  };
  struct Object {
    std::vector<Property> properties;  ///< at most 63
    uint64_t required = 0;             ///< bits of properties
    RuleIndex others = kNoRule;  ///< of properties without a name here; only when there are none
    uint64_t n_min = 0, n_max = kUnbounded;
    SymbolTrie keys;        ///< `"name": `
    SymbolTrie parameters;  ///< `name" string="true">`; payload 2 * property + (it is text)
  };

  bool null = false, boolean = false;
  std::vector<Text> texts;  ///< none or one
  std::vector<Number> numbers;
  std::vector<Array> arrays;
  std::vector<Object> objects;
  SymbolTrie raw_values;     ///< texts of an enum, up to the marker of the closing tag
  SymbolTrie json_values;    ///< the other values of an enum, in JSON
  SymbolTrie quoted_values;  ///< texts of an enum, in JSON
  bool has_raw_values = false, has_json_values = false;
  std::vector<RuleIndex> alternatives;

  bool has_text = false;    ///< some value is a text: string="true"
  bool has_json = false;    ///< some value is something else: string="false"
  uint32_t depth = kNever;  ///< levels of nesting that the shallowest value needs
};

/// The calls that tools allow. Immutable.
///
/// Carried: type, enum, const, minLength, maxLength, minimum, maximum and their exclusive forms,
/// items, prefixItems, minItems, maxItems, properties, required, additionalProperties (false, or
/// the only source of names), minProperties and maxProperties where names are fixed, $ref, allOf
/// (joined keyword by keyword), anyOf and oneOf (each alternative, type by type). All other
/// keywords are left to the check of the finished call. Narrower than the schema on purpose: the
/// spelling of JSON is that of prompts (one blank behind comma and colon), numbers have no
/// exponent, at most 18 digits and 6 decimals, an object's declared names are the only ones, and
/// values nest at most 16 deep.
class CallGrammar {
 public:
  static constexpr uint32_t kDepthMax = 16;

  /// A tool that cannot be called this way (its schema allows nothing, or is refused) is left out
  /// and named in left_out().
  static std::shared_ptr<const CallGrammar> compile(const std::vector<OfferedTool>& tools);

  struct Tool {
    std::string name;
    RuleIndex rule = kNoRule;  ///< has exactly one of `objects`
  };
  const std::vector<Tool>& tools() const { return tools_; }
  const SymbolTrie& names() const { return names_; }  ///< `name">\n`
  const Rule& rule(RuleIndex index) const { return rules_[index]; }
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  friend class GrammarCompiler;
  std::vector<Rule> rules_;
  std::vector<Tool> tools_;
  SymbolTrie names_;
  std::vector<std::string> left_out_;
};

}  // namespace sable::agent
