#include "tools/argument_text.h"

#include <cmath>

#include <fmt/format.h>

namespace sable::tools {

std::string argument_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    // All digits, so that no size of a number hides them from a pattern. Adding 0 makes -0 a 0.
    if (std::isfinite(number) && std::trunc(number) == number) {
      return fmt::format("{:.0f}", number + 0.0);
    }
  }
  return dump_json(value);
}

Json with_defaults(Json arguments, const Json& defaults) {
  for (const auto& [name, value] : defaults.items()) {
    if (!arguments.contains(name)) arguments[name] = value;
  }
  return arguments;
}

}  // namespace sable::tools
