// JSON Schema in one compiled form: references resolved, depth, size and effort bounded. Draft
// 2020-12, and drafts 06, 07 and 2019-09 where "$schema" names them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tools/decimal.h"
#include "tools/pattern.h"

namespace sable::tools {

struct SchemaLimits {
  size_t depth_max = 64;  ///< nesting of subschemas
  size_t subschemas_max = 4096;
  size_t steps_max = 500'000;  ///< subschemas applied and values compared in one validation
  size_t recursion_max = 400;  ///< of applied subschemas, references included
};

using SchemaIndex = uint32_t;

/// One subschema. What a keyword does not constrain is absent; indices are of Schema::nodes().
struct SchemaNode {
  enum Type : uint8_t {
    null_ = 1,
    boolean = 2,
    integer = 4,
    number = 8,
    string = 16,
    array = 32,
    object = 64
  };

  std::string location;                     ///< JSON pointer in the document
  std::optional<bool> always;               ///< a boolean schema
  std::optional<uint8_t> types;             ///< set of Type
  std::optional<std::vector<Json>> values;  ///< enum, or const as its only one
  std::set<std::string> value_texts;        ///< canonical texts of values

  std::optional<Decimal> minimum, maximum, above, below,
      multiple_of;                                 ///< above, below: exclusive bounds
  std::optional<uint64_t> length_min, length_max;  ///< in code points
  std::optional<Pattern> pattern;
  std::string format;  ///< an annotation

  std::vector<SchemaIndex> first_items;  ///< prefixItems
  std::optional<SchemaIndex> items;      ///< of the items after those
  std::optional<SchemaIndex> contains, unevaluated_items;
  std::optional<uint64_t> items_min, items_max, contains_min, contains_max;
  bool unique_items = false;

  std::vector<std::pair<std::string, SchemaIndex>> properties;  ///< in the order written
  std::vector<std::pair<Pattern, SchemaIndex>> pattern_properties;
  std::optional<SchemaIndex> additional_properties, property_names, unevaluated_properties;
  std::vector<std::string> required;
  std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required;
  std::vector<std::pair<std::string, SchemaIndex>> dependent_schemas;
  std::optional<uint64_t> properties_min, properties_max;

  std::vector<SchemaIndex> all_of, any_of, one_of;
  std::optional<SchemaIndex> not_, if_, then_, else_, reference;
  std::optional<std::pair<SchemaIndex, std::string>>
      dynamic_reference;  ///< where it leads, and its anchor
  uint32_t resource = 0;  ///< which "$id" it belongs to
};

/// What a value does not satisfy, in words for a model.
struct Violation {
  std::string pointer;  ///< JSON pointer into the value; empty for the value itself
  std::string expected, got;
  std::string schema_location;  ///< JSON pointer into the schema
};

class Schema {
 public:
  /// Errors (invalid_input) begin with the JSON pointer of the keyword at fault.
  static Result<Schema> compile(const Json& document, const SchemaLimits& limits = {});

  /// Empty when `value` fits. At most eight violations, those of the nearest alternative where
  /// several fail. A value that cannot be judged within the limits does not fit.
  std::vector<Violation> check(const Json& value) const;

  /// The document that was compiled, for fragments in messages.
  const Json& document() const { return document_; }
  /// Node 0 is the document itself.
  const std::vector<SchemaNode>& nodes() const { return nodes_; }

  /// For "$dynamicRef": by resource, the nodes that its "$dynamicAnchor"s name.
  const std::vector<std::map<std::string, SchemaIndex>>& dynamic_anchors() const {
    return dynamic_anchors_;
  }
  const SchemaLimits& limits() const { return limits_; }

 private:
  friend class SchemaCompiler;

  Json document_;
  SchemaLimits limits_;
  std::vector<SchemaNode> nodes_;
  std::vector<std::map<std::string, SchemaIndex>> dynamic_anchors_;
};

/// The violations as the model reads them: pointer, expected, got and the schema's fragment.
std::string describe(const std::vector<Violation>& violations, const Schema& schema);

}  // namespace sable::tools
