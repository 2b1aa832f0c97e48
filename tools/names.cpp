// Names: of the door's enumerations, and what a tool may be called.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/tool.h"

namespace sable::tools {

std::string_view name_of(Approval approval) {
  switch (approval) {
    case Approval::allow:
      return "allow";
    case Approval::ask:
      return "ask";
    case Approval::deny:
      return "deny";
  }
  return "unknown";
}

bool is_tool_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

Result<Approval> parse_approval(std::string_view text) {
  for (const Approval approval : {Approval::allow, Approval::ask, Approval::deny}) {
    if (text == name_of(approval)) return approval;
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("expected allow, ask or deny, got \"{}\"", escape_controls(text)));
}

std::string_view name_of(Effect effect) {
  switch (effect) {
    case Effect::none:
      return "none";
    case Effect::workspace:
      return "workspace";
    case Effect::command:
      return "command";
  }
  return "unknown";
}

}  // namespace sable::tools
