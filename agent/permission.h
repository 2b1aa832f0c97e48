// Whether a call may run: its tool's class, then the mode, then a person. Never widens the sandbox.
#pragma once

#include <string>
#include <vector>

#include "agent/agent.h"

namespace sable::agent {

struct PermissionDecision {
  bool allowed = false;
  std::string by;      ///< "tool", "mode", "person", "session" or "always"
  std::string reason;  ///< for a refusal: a sentence for the model
};

/// What a person said of a tool before: nothing, yes for the rest of this session, or for good.
enum class Consent { none, session, always };

/// `approval`: the class of this very call. Asks the observers in turn until one allows; no
/// observer, or none that allows, is a refusal.
asio::awaitable<PermissionDecision> decide_permission(PermissionRequest request,
                                                      tools::Approval approval, ApprovalMode mode,
                                                      Consent consent,
                                                      std::vector<Observer*> observers);

}  // namespace sable::agent
