#include "agent/provider.h"

#include <algorithm>

#include "agent/http_transport.h"
#include "base/text.h"

namespace sable::agent {

std::string_view name_of(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::user:
      return "user";
    case Role::assistant:
      return "assistant";
    case Role::tool:
      return "tool";
  }
  return "user";
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::tool_calls:
      return "tool_calls";
    case FinishReason::length:
      return "length";
    case FinishReason::filtered:
      return "filtered";
  }
  return "stop";
}

std::optional<FinishReason> parse_finish_reason(std::string_view name) {
  for (const auto reason : {FinishReason::stop, FinishReason::tool_calls, FinishReason::length,
                            FinishReason::filtered}) {
    if (name == name_of(reason)) return reason;
  }
  return {};
}

std::string_view HttpHead::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equal_ignoring_case(key, name)) return value;
  }
  return {};
}

}  // namespace sable::agent
