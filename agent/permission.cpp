#include "agent/permission.h"

#include <fmt/format.h>

namespace sable::agent {

Result<ApprovalMode> parse_approval_mode(std::string_view text) {
  if (text == "ask") return ApprovalMode::ask;
  if (text == "all") return ApprovalMode::all;
  if (text == "none") return ApprovalMode::none;
  return fail(ErrorCode::invalid_input,
              fmt::format("approval mode \"{}\": expected ask, all or none", text));
}

// A coroutine, although it never waits: a person may take their time in the overrides.
asio::awaitable<Permission> Observer::on_permission(PermissionRequest) {
  co_return Permission::reject;
}

asio::awaitable<std::optional<std::string>> Observer::on_question(UserQuestion) {
  co_return std::nullopt;
}

asio::awaitable<PermissionDecision> decide_permission(PermissionRequest request,
                                                      tools::Approval approval, ApprovalMode mode,
                                                      Consent consent,
                                                      std::vector<Observer*> observers) {
  const auto& name = request.call.name;
  switch (approval) {
    case tools::Approval::allow:
      co_return PermissionDecision{true, "tool", "the tool's approval class is allow"};
    case tools::Approval::deny:
      co_return PermissionDecision{false, "tool",
                                   fmt::format("the tool {} is denied here; do without it", name)};
    case tools::Approval::ask:
      break;
  }
  if (mode == ApprovalMode::none) {
    co_return PermissionDecision{
        false, "mode",
        fmt::format("{} needs a person's approval, and --approve none refuses it; do without it, "
                    "or say what you would have done",
                    name)};
  }
  if (consent == Consent::session) {
    co_return PermissionDecision{true, "session", "allowed for the session"};
  }
  if (consent == Consent::always) {
    co_return PermissionDecision{true, "always", "allowed for good in this repository"};
  }
  if (mode == ApprovalMode::all) co_return PermissionDecision{true, "mode", "--approve all"};
  if (mode == ApprovalMode::unattended) {
    co_return PermissionDecision{
        false, "mode",
        fmt::format("{} needs a person's approval, and nobody can be asked here; do without it, or "
                    "say what you would have done",
                    name)};
  }
  for (Observer* observer : observers) {
    const Permission answer = co_await observer->on_permission(request);
    if (answer == Permission::allow_once) co_return PermissionDecision{true, "person", "once"};
    if (answer == Permission::allow_session) {
      co_return PermissionDecision{true, "session", "for the session"};
    }
    if (answer == Permission::allow_always) {
      co_return PermissionDecision{true, "session", "for the session and later ones"};
    }
  }
  co_return PermissionDecision{false, "person",
                               fmt::format("the user did not approve this call of {}", name)};
}

}  // namespace sable::agent
