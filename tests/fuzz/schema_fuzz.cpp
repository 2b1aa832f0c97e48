// Any JSON is a schema or a refusal; a compiled schema judges any value, and the same twice.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "tools/schema.h"

using namespace sable;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = parse_json(text);
  if (!json) return 0;
  // An array of two is a schema and a value; anything else is both.
  const bool is_pair = json->is_array() && json->size() == 2;
  const Json& document = is_pair ? (*json)[0] : *json;
  const Json& value = is_pair ? (*json)[1] : *json;
  const auto schema = tools::Schema::compile(document, {.steps_max = 20'000});
  if (!schema) return 0;
  const auto violations = schema->check(value);
  SABLE_CHECK(violations.size() == schema->check(value).size());
  SABLE_CHECK(is_utf8(tools::describe(violations, *schema)));
  return 0;
}
