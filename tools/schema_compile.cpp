// From a schema document to its compiled form, in two passes: find every subschema and identifier,
// then read the keywords and resolve the references.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/json_pointer.h"
#include "tools/schema.h"
#include "tools/schema_keywords.h"
#include "tools/uri.h"

namespace sable::tools {

namespace {

constexpr std::array<std::string_view, 10> kOneSchema = {"not",
                                                         "if",
                                                         "then",
                                                         "else",
                                                         "contains",
                                                         "propertyNames",
                                                         "additionalProperties",
                                                         "additionalItems",
                                                         "unevaluatedItems",
                                                         "unevaluatedProperties"};
constexpr std::array<std::string_view, 4> kSchemaLists = {"allOf", "anyOf", "oneOf", "prefixItems"};
constexpr std::array<std::string_view, 5> kSchemaMaps = {"properties", "patternProperties", "$defs",
                                                         "definitions", "dependentSchemas"};

tl::unexpected<Error> refuse(const std::string& pointer, std::string_view why) {
  return fail(ErrorCode::invalid_input,
              fmt::format("{}: {}", pointer.empty() ? "/" : escape_controls(pointer), why));
}

}  // namespace

class SchemaCompiler {
 public:
  explicit SchemaCompiler(Schema& schema) : schema_(schema) {}

  Result<void> compile() {
    SABLE_TRY_VOID(choose_dialect());
    add_resource("", &schema_.document_, "");
    SABLE_TRY_VOID(scan(schema_.document_, "", 0, 1));
    for (SchemaIndex i = 0; i < places_.size(); ++i) {  // references may add subschemas on the way
      SABLE_TRY(SchemaNode node, read(i));
      schema_.nodes_[i] = std::move(node);
    }
    for (const auto& resource : resources_) {
      auto& anchors = schema_.dynamic_anchors_.emplace_back();
      for (const auto& [name, json] : resource.dynamic_anchors) anchors[name] = index_of_.at(json);
    }
    return check_endless();
  }

 private:
  struct Place {
    const Json* json;
    std::string pointer;
    uint32_t resource;
    size_t depth;
  };
  struct Resource {
    std::string uri, pointer;
    const Json* root;
    std::map<std::string, const Json*> anchors, dynamic_anchors;
  };

  Result<void> choose_dialect() {
    const Json& document = schema_.document_;
    if (!document.is_object() || !document.contains("$schema")) return {};
    if (!document["$schema"].is_string()) return refuse("/$schema", "expected a string");
    std::string name = document["$schema"].get<std::string>();
    while (name.ends_with('#')) name.pop_back();
    if (const size_t at = name.find("://"); at != std::string::npos) name.erase(0, at + 3);
    if (name == "json-schema.org/draft-07/schema" || name == "json-schema.org/draft-06/schema") {
      is_old_ = true;
    } else if (name != "json-schema.org/draft/2020-12/schema" &&
               name != "json-schema.org/draft/2019-09/schema") {
      return refuse("/$schema",
                    fmt::format("{} is not a draft that is known here; known are 2020-12, "
                                "2019-09, draft-07 and draft-06",
                                cut_text(document["$schema"])));
    }
    return {};
  }

  uint32_t add_resource(std::string uri, const Json* root, std::string pointer) {
    const auto index = static_cast<uint32_t>(resources_.size());
    resource_of_uri_.emplace(uri, index);
    resources_.push_back({.uri = std::move(uri), .pointer = std::move(pointer), .root = root});
    return index;
  }

  /// Registers the subschema at `json` and all below it.
  Result<void> scan(const Json& json, const std::string& pointer, uint32_t resource, size_t depth) {
    if (index_of_.contains(&json)) return {};
    if (!json.is_object() && !json.is_boolean()) {
      return refuse(pointer, "expected a schema (an object, true or false), got " + cut_text(json));
    }
    if (depth > schema_.limits_.depth_max) {
      return refuse(pointer,
                    fmt::format("nested deeper than {} levels", schema_.limits_.depth_max));
    }
    if (places_.size() == schema_.limits_.subschemas_max) {
      return refuse(pointer,
                    fmt::format("more than {} subschemas", schema_.limits_.subschemas_max));
    }
    if (json.is_object()) {
      SABLE_TRY_VOID(read_identifiers(json, pointer, resource));
    }
    index_of_[&json] = static_cast<SchemaIndex>(places_.size());
    places_.push_back({&json, pointer, resource, depth});
    schema_.nodes_.emplace_back();
    if (!json.is_object()) return {};
    for (const auto& [key, value] : json.items()) {
      SABLE_TRY_VOID(
          scan_keyword(key, value, pointer + "/" + json_pointer_part(key), resource, depth));
    }
    return {};
  }

  Result<void> read_identifiers(const Json& json, const std::string& pointer, uint32_t& resource) {
    if (is_old_ && json.contains("$ref")) return {};  // there, "$ref" stands alone
    if (const auto id = json.find("$id"); id != json.end()) {
      if (!id->is_string()) return refuse(pointer + "/$id", "expected a string");
      const auto text = id->get<std::string>();
      if (is_old_ && text.starts_with('#')) {
        resources_[resource].anchors[text.substr(1)] = &json;
      } else {
        std::string uri = resolve_uri(resources_[resource].uri, text);
        if (const size_t hash = uri.find('#'); hash != std::string::npos) uri.erase(hash);
        resource = add_resource(std::move(uri), &json, pointer);
      }
    }
    if (is_old_) return {};
    for (const char* keyword : {"$recursiveRef", "$recursiveAnchor"}) {
      if (json.contains(keyword)) return refuse(pointer + "/" + keyword, "is not supported");
    }
    for (const char* keyword : {"$anchor", "$dynamicAnchor"}) {
      const auto anchor = json.find(keyword);
      if (anchor == json.end()) continue;
      if (!anchor->is_string()) return refuse(pointer + "/" + keyword, "expected a string");
      resources_[resource].anchors[anchor->get<std::string>()] = &json;
      if (keyword[1] == 'd')
        resources_[resource].dynamic_anchors[anchor->get<std::string>()] = &json;
    }
    return {};
  }

  template <class Names>
  static bool is_one_of(std::string_view key, const Names& names) {
    return std::find(names.begin(), names.end(), key) != names.end();
  }

  Result<void> scan_keyword(const std::string& key, const Json& value, const std::string& pointer,
                            uint32_t resource, size_t depth) {
    const bool is_tuple = key == "items" && value.is_array();
    if (is_one_of(key, kOneSchema) || (key == "items" && !is_tuple)) {
      return scan(value, pointer, resource, depth + 1);
    }
    if (is_one_of(key, kSchemaLists) || is_tuple) {
      if (!value.is_array())
        return refuse(pointer, "expected a list of schemas, got " + cut_text(value));
      if (value.empty() && !is_tuple) return refuse(pointer, "expected at least one schema");
      for (size_t i = 0; i < value.size(); ++i) {
        SABLE_TRY_VOID(scan(value[i], fmt::format("{}/{}", pointer, i), resource, depth + 1));
      }
    }
    if (is_one_of(key, kSchemaMaps) || key == "dependencies") {
      if (!value.is_object()) {
        return refuse(pointer, "expected an object of schemas, got " + cut_text(value));
      }
      for (const auto& [name, below] : value.items()) {
        if (key == "dependencies" && below.is_array()) continue;  // of names
        SABLE_TRY_VOID(scan(below, pointer + "/" + json_pointer_part(name), resource, depth + 1));
      }
    }
    return {};
  }

  // The second pass.

  Result<SchemaNode> read(SchemaIndex index) {
    const Place place = places_[index];
    SchemaNode node;
    node.location = place.pointer;
    node.resource = place.resource;
    if (place.json->is_boolean()) {
      node.always = place.json->get<bool>();
      return node;
    }
    const bool only_reference = is_old_ && place.json->contains("$ref");
    for (const auto& [key, value] : place.json->items()) {
      if (only_reference && key != "$ref") continue;
      const auto done = read_keyword(node, place, key, value);
      if (!done) return refuse(place.pointer + "/" + json_pointer_part(key), done.error().message);
    }
    finish(node, *place.json);
    return node;
  }

  Result<void> read_keyword(SchemaNode& node, const Place& place, const std::string& key,
                            const Json& value) {
    if (key == "$ref") return read_reference(place, value, node);
    if (key == "$dynamicRef" && !is_old_) return read_dynamic_reference(place, value, node);
    if (key == "type") return read_types(value, node);
    if (key == "enum" || key == "const") return read_values(key == "const", value, node);
    if (key == "minimum") return read_number(value, node.minimum);
    if (key == "maximum") return read_number(value, node.maximum);
    if (key == "exclusiveMinimum") return read_number(value, node.above);
    if (key == "exclusiveMaximum") return read_number(value, node.below);
    if (key == "multipleOf") return read_divisor(value, node.multiple_of);
    if (key == "minLength") return read_count(value, node.length_min);
    if (key == "maxLength") return read_count(value, node.length_max);
    if (key == "minItems") return read_count(value, node.items_min);
    if (key == "maxItems") return read_count(value, node.items_max);
    if (key == "minProperties") return read_count(value, node.properties_min);
    if (key == "maxProperties") return read_count(value, node.properties_max);
    if (key == "minContains" && !is_old_) return read_count(value, node.contains_min);
    if (key == "maxContains" && !is_old_) return read_count(value, node.contains_max);
    if (key == "pattern") return read_pattern(value, node.pattern);
    if (key == "uniqueItems") return read_flag(value, node.unique_items);
    if (key == "required") return read_names(value, node.required);
    if (key == "format") {
      if (value.is_string()) node.format = value.get<std::string>();
      return {};
    }
    if (key == "patternProperties") return read_pattern_properties(value, node);
    if (key == "dependentRequired" && !is_old_) return read_dependent_required(value, node);
    if (key == "dependencies") return read_dependencies(value, node);
    link_subschemas(node, key, value);
    return {};
  }

  void link_subschemas(SchemaNode& node, std::string_view key, const Json& value) {
    const auto one = [&](std::optional<SchemaIndex>& target) { target = index_of_.at(&value); };
    const auto list = [&](std::vector<SchemaIndex>& target) {
      for (const auto& item : value) target.push_back(index_of_.at(&item));
    };
    const auto map = [&](std::vector<std::pair<std::string, SchemaIndex>>& target) {
      for (const auto& [name, below] : value.items())
        target.emplace_back(name, index_of_.at(&below));
    };
    if (key == "not") one(node.not_);
    if (key == "if") one(node.if_);
    if (key == "then") one(node.then_);
    if (key == "else") one(node.else_);
    if (key == "contains") one(node.contains);
    if (key == "propertyNames") one(node.property_names);
    if (key == "additionalProperties") one(node.additional_properties);
    if (key == "unevaluatedItems" && !is_old_) one(node.unevaluated_items);
    if (key == "unevaluatedProperties" && !is_old_) one(node.unevaluated_properties);
    if (key == "allOf") list(node.all_of);
    if (key == "anyOf") list(node.any_of);
    if (key == "oneOf") list(node.one_of);
    if (key == "prefixItems" && !is_old_) list(node.first_items);
    if (key == "items") value.is_array() ? list(node.first_items) : one(node.items);
    if (key == "properties") map(node.properties);
    if (key == "dependentSchemas" && !is_old_) map(node.dependent_schemas);
  }

  /// What depends on two keywords.
  void finish(SchemaNode& node, const Json& json) {
    if (const auto items = json.find("items"); items != json.end() && items->is_array()) {
      if (const auto more = json.find("additionalItems"); more != json.end()) {
        node.items = index_of_.at(&*more);
      }
    }
    // OpenAPI's way to allow null, common in tools found in the wild.
    const auto nullable = json.find("nullable");
    if (node.types && nullable != json.end() && nullable->is_boolean() && nullable->get<bool>()) {
      node.types = static_cast<uint8_t>(*node.types | SchemaNode::null_);
    }
  }

  Result<void> read_pattern_properties(const Json& value, SchemaNode& node) {
    for (const auto& [source, below] : value.items()) {
      SABLE_TRY(auto pattern, Pattern::compile(source));
      node.pattern_properties.emplace_back(std::move(pattern), index_of_.at(&below));
    }
    return {};
  }

  Result<void> read_dependencies(const Json& value, SchemaNode& node) {
    for (const auto& [name, below] : value.items()) {
      if (below.is_array()) {
        SABLE_TRY_VOID(read_names(
            below, node.dependent_required.emplace_back(name, std::vector<std::string>()).second));
      } else {
        node.dependent_schemas.emplace_back(name, index_of_.at(&below));
      }
    }
    return {};
  }

  Result<void> read_reference(const Place& place, const Json& value, SchemaNode& node) {
    SABLE_TRY(node.reference, resolve(place, value));
    return {};
  }

  Result<void> read_dynamic_reference(const Place& place, const Json& value, SchemaNode& node) {
    SABLE_TRY(const SchemaIndex target, resolve(place, value));
    const std::string text = value.get<std::string>();
    const size_t hash = text.find('#');
    const std::string anchor = hash == std::string::npos ? "" : text.substr(hash + 1);
    // Dynamic only if the place it leads to has a dynamic anchor of that name.
    const auto& anchors = resources_[places_[target].resource].dynamic_anchors;
    const auto it = anchors.find(anchor);
    if (it != anchors.end() && it->second == places_[target].json) {
      node.dynamic_reference = {target, anchor};
    } else {
      node.dynamic_reference = {target, ""};
    }
    return {};
  }

  Result<SchemaIndex> resolve(const Place& from, const Json& value) {
    if (!value.is_string()) {
      return fail(ErrorCode::invalid_input, "expected a string, got " + cut_text(value));
    }
    std::string uri = resolve_uri(resources_[from.resource].uri, value.get<std::string>());
    std::string fragment;
    if (const size_t hash = uri.find('#'); hash != std::string::npos) {
      fragment = percent_decoded(std::string_view(uri).substr(hash + 1));
      uri.erase(hash);
    }
    const auto found = resource_of_uri_.find(uri);
    if (found == resource_of_uri_.end()) {
      return fail(
          ErrorCode::invalid_input,
          cut_text(value) + " leads out of this document; only references within it are followed");
    }
    if (!fragment.empty() && fragment[0] != '/') {
      const auto& anchors = resources_[found->second].anchors;
      const auto anchor = anchors.find(fragment);
      if (anchor == anchors.end()) return no_such_place(value);
      return index_of_.at(anchor->second);
    }
    return resolve_pointer(found->second, fragment, value, from.depth);
  }

  static tl::unexpected<Error> no_such_place(const Json& value) {
    return fail(ErrorCode::invalid_input, cut_text(value) + " leads to nothing in this document");
  }

  Result<SchemaIndex> resolve_pointer(uint32_t resource, std::string_view fragment,
                                      const Json& value, size_t depth) {
    const Json* at = resources_[resource].root;
    std::string pointer = resources_[resource].pointer;
    while (!fragment.empty()) {
      const size_t slash = fragment.find('/', 1);
      const std::string key =
          json_pointer_key(fragment.substr(1, slash == std::string_view::npos ? slash : slash - 1));
      fragment = slash == std::string_view::npos ? std::string_view() : fragment.substr(slash);
      if (at->is_object()) {
        const auto field = at->find(key);
        if (field == at->end()) return no_such_place(value);
        at = &*field;
      } else if (at->is_array()) {
        const bool is_index =
            !key.empty() && key.size() < 8 &&
            std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (!is_index || std::stoul(key) >= at->size()) return no_such_place(value);
        at = &(*at)[std::stoul(key)];
      } else {
        return no_such_place(value);
      }
      pointer += "/" + json_pointer_part(key);
      if (const auto known = index_of_.find(at); known != index_of_.end()) {
        resource = places_[known->second].resource;
      }
    }
    // A place that no keyword makes a schema becomes one by being referred to.
    SABLE_TRY_VOID(scan(*at, pointer, resource, depth + 1));
    return index_of_.at(at);
  }

  /// Refuses references that come back to themselves without going into the value.
  Result<void> check_endless() const {
    std::vector<uint8_t> state(schema_.nodes_.size(), 0);  // 1: on the way, 2: done
    for (SchemaIndex i = 0; i < schema_.nodes_.size(); ++i) {
      SABLE_TRY_VOID(visit_in_place(i, state));
    }
    return {};
  }

  Result<void> visit_in_place(SchemaIndex index, std::vector<uint8_t>& state) const {
    const SchemaNode& node = schema_.nodes_[index];
    if (state[index] == 2) return {};
    if (state[index] == 1) return refuse(node.location, "refers to itself without end");
    state[index] = 1;
    std::vector<SchemaIndex> next;
    for (const auto* list : {&node.all_of, &node.any_of, &node.one_of}) {
      next.insert(next.end(), list->begin(), list->end());
    }
    for (const auto& one : {node.not_, node.if_, node.then_, node.else_, node.reference}) {
      if (one) next.push_back(*one);
    }
    if (node.dynamic_reference && node.dynamic_reference->second.empty()) {
      next.push_back(node.dynamic_reference->first);
    }
    for (const auto& [name, below] : node.dependent_schemas) next.push_back(below);
    for (const SchemaIndex below : next) {
      SABLE_TRY_VOID(visit_in_place(below, state));
    }
    state[index] = 2;
    return {};
  }

  Schema& schema_;
  bool is_old_ = false;  ///< draft-06 and draft-07
  std::vector<Place> places_;
  std::map<const Json*, SchemaIndex> index_of_;
  std::vector<Resource> resources_;
  std::map<std::string, uint32_t> resource_of_uri_;
};

Result<Schema> Schema::compile(const Json& document, const SchemaLimits& limits) {
  Schema schema;
  schema.document_ = document;
  schema.limits_ = limits;
  SchemaCompiler compiler(schema);
  SABLE_TRY_VOID(compiler.compile());
  return schema;
}

}  // namespace sable::tools
