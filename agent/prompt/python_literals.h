// String constants of a Python source, as far as they are plain literals.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sable::agent {

/// Every run of adjacent string literals (which Python joins), decoded: quotes of one or three
/// characters, escapes, raw strings; comments are skipped. Formatted and byte strings are left out.
/// Never fails: what is not Python gives whatever looks like literals in it.
std::vector<std::string> python_string_literals(std::string_view source);

}  // namespace sable::agent
