// Foreign text inside a sentence: it must not be able to begin a line of its own.
#pragma once

#include <string>
#include <string_view>

namespace sable::runtime::config {

/// escape_controls() of base/text.h, and newlines and tabs escaped as well.
std::string one_line(std::string_view text);

}  // namespace sable::runtime::config
