#include <fmt/format.h>

#include "base/check.h"
#include "runtime/config/config.h"
#include "runtime/config/one_line.h"

namespace sable::runtime::config {

std::string_view name_of(Layer layer) {
  switch (layer) {
    case Layer::built_in:
      return "built-in";
    case Layer::user:
      return "user";
    case Layer::repository:
      return "repository";
    case Layer::environment:
      return "environment";
    case Layer::config_file:
      return "config file";
    case Layer::profile:
      return "profile";
    case Layer::flag:
      return "flag";
  }
  SABLE_CHECK(false);
}

std::string Origin::text() const {
  if (layer == Layer::built_in) return std::string(name_of(layer));
  const auto shown = one_line(source);
  return line > 0 ? fmt::format("{}:{}:{}", shown, line, column) : shown;
}

}  // namespace sable::runtime::config
