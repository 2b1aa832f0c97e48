// Our own bugs: a failed check prints where and aborts, in release builds too.
#pragma once

namespace sable {

/// Prints "FILE:LINE: check failed: TEXT" to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* text);

}  // namespace sable

/// Never reachable from user input: what the world sends wrong is a Result, not a check.
#define SABLE_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::sable::check_failed(__FILE__, __LINE__, #condition))
