// Whether a call may run: its tool's class, then the mode, then a person. Never widens the sandbox.
#pragma once

#include <string>
#include <vector>

#include "agent/agent.h"

namespace sable::agent {

struct PermissionDecision {
  bool allowed = false;
  std::string by;      ///< "tool", "mode", "person" or "session"
  std::string reason;  ///< for a refusal: a sentence for the model
};

/// `approval`: the class of this very call. `session_allows`: a person already allowed this tool
/// for the rest of the session. Asks the observers in turn until one allows; no observer, or none
/// that allows, is a refusal.
asio::awaitable<PermissionDecision> decide_permission(PermissionRequest request,
                                                      tools::Approval approval, ApprovalMode mode,
                                                      bool session_allows,
                                                      std::vector<Observer*> observers);

}  // namespace sable::agent
