// A call as a person must see it who is to allow it: all of it.
#pragma once

#include <string>

#include "base/json.h"
#include "runtime/terminal/style.h"

namespace sable::runtime {

/// Every argument with every line of it, nothing cut and everything inert; the text of an edit as a
/// diff. Each line is indented, so that none can pass for one of ours. Ends with a line feed unless
/// it is empty.
std::string whole_call(const Style& style, const Json& arguments);

}  // namespace sable::runtime
