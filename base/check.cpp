// The abort behind SABLE_CHECK, and the texts of errors.
#include "base/check.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/result.h"

namespace sable {

void check_failed(const char* file, int line, const char* text) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text);
  std::abort();
}

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_input:
      return "invalid_input";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::timed_out:
      return "timed_out";
    case ErrorCode::exhausted:
      return "exhausted";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::io:
      return "io";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::cancelled:
      return "cancelled";
  }
  return "unknown";
}

tl::unexpected<Error> fail_errno(std::string_view what, int errno_value) {
  char buffer[128];
  return fail(ErrorCode::io,
              std::string(what) + ": " + ::strerror_r(errno_value, buffer, sizeof buffer));
}

}  // namespace sable
