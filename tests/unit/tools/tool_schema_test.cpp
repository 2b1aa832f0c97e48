// The published schema of tool files and the reader of them say the same.
#include <catch2/catch.hpp>

#include "base/file.h"
#include "tools/tools.h"

using namespace sable;
using namespace sable::tools;

namespace {

Schema published_schema() {
  const auto text = read_file(std::filesystem::path(SABLE_SOURCE_DIR) / "docs/tool.schema.json");
  REQUIRE(text);
  auto schema = Schema::compile(parse_json(*text).value());
  if (!schema) FAIL(schema.error().message);
  return std::move(*schema);
}

/// One tool that uses every key there is.
Json full_file() {
  return parse_json(R"({"tools": [{
    "name": "full",
    "description": "everything at once",
    "parameters": {
      "type": "object",
      "properties": {"text": {"type": "string"}, "loud": {"type": "boolean"},
                     "paths": {"type": "array", "items": {"type": "string"}}},
      "required": ["text", "paths"]
    },
    "effect": "command",
    "run": {
      "argv": ["echo", ["-l", "{loud}"], {"if": "loud", "then": ["-x"]}, "--", "{text}", "{paths...}"],
      "stdin": "{text}",
      "environment": {"WORD": "{text}"},
      "working_directory": "sub",
      "may_begin_with_dash": ["text"]
    },
    "limits": {"timeout_seconds": 2.5, "memory_bytes": 1048576, "output_bytes": 1000, "processes": 9},
    "sandbox": {"profile": "strict", "network": "none", "workspace": "read-only", "files": "transaction",
                "masked": ["secret"]},
    "approval": {"default": "ask", "rules": [{"argument": "text", "matches": "^x", "then": "deny"}]},
    "output": {"format": "json", "exit_codes": {"1": {"ok": true, "means": "nothing"}, "2": "wrong"}},
    "examples": [{"about": "one", "arguments": {"text": "a", "paths": ["b"]},
                  "runs": ["echo", "--", "a", "b"]}]
  }]})")
      .value();
}

/// Every value in a document, by JSON pointer.
void collect(const Json& value, const Json::json_pointer& at,
             std::vector<Json::json_pointer>& pointers) {
  pointers.push_back(at);
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) collect(inner, at / key, pointers);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) collect(value[i], at / i, pointers);
  }
}

bool is_free(const std::string& pointer) {
  return pointer.find("/parameters") != std::string::npos || pointer.ends_with("/environment") ||
         pointer.ends_with("/exit_codes") || pointer.find("/arguments") != std::string::npos;
}

bool loads(const Json& file) {
  Registry registry;
  registry.use_profiles([](const std::string&) { return sandbox::Policy{}; });
  return registry.add_yaml(dump_json(file), "t.yaml").has_value();
}

}  // namespace

TEST_CASE("a file with every key loads, and the published schema accepts it") {
  Registry registry;
  registry.use_profiles([](const std::string&) { return sandbox::Policy{}; });
  const auto added = registry.add_yaml(dump_json(full_file()), "t.yaml");
  if (!added) FAIL(added.error().message);
  const Schema schema = published_schema();
  CHECK(describe(schema.check(full_file()), schema) == "");
}

TEST_CASE(
    "whatever the reader accepts, the published schema accepts; keys unknown to one are unknown "
    "to the other") {
  const Schema schema = published_schema();
  std::vector<Json::json_pointer> pointers;
  collect(full_file(), Json::json_pointer(), pointers);
  const Json values = Json::array({12345678901, -1, 0.5, "zzz", "", true, nullptr, Json::array(),
                                   Json::object(), Json::array({"zzz"}), Json{{"zzz", 1}}});
  size_t n_loaded = 0, n_refused_by_both = 0, n_refused = 0;
  const auto compare = [&](const Json& file, const std::string& change) {
    INFO(change);
    const bool loaded = loads(file);
    const bool accepted = schema.check(file).empty();
    if (loaded) CHECK(accepted);
    n_loaded += loaded ? 1 : 0;
    n_refused += loaded ? 0 : 1;
    n_refused_by_both += !loaded && !accepted ? 1 : 0;
    return std::pair(loaded, accepted);
  };
  for (const auto& pointer : pointers) {
    for (const auto& value : values) {
      Json file = full_file();
      file[pointer] = value;
      compare(file, pointer.to_string() + " = " + dump_json(value));
    }
    Json file = full_file();
    if (!pointer.empty() && file[pointer.parent_pointer()].is_object()) {
      file[pointer.parent_pointer()].erase(pointer.back());
      compare(file, pointer.to_string() + " taken away");
    }
    file = full_file();
    if (file[pointer].is_object() && !is_free(pointer.to_string())) {
      file[pointer]["zzz"] = 1;
      CHECK(compare(file, pointer.to_string() + " with a further key") == std::pair(false, false));
    }
  }
  CHECK(n_loaded > 100);
  // The rest is what no schema can say: names of parameters, templates, examples that run.
  CHECK(n_refused_by_both * 10 > n_refused * 6);
}
