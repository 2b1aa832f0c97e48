#include "agent/permission.h"

#include <optional>

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::agent;

namespace {

class Answering : public Observer {
 public:
  explicit Answering(Permission answer) : answer_(answer) {}
  void on_event(const memory::Event&) override {}
  void on_preview(const Preview&) override {}
  asio::awaitable<Permission> on_permission(PermissionRequest) override {
    ++n_asked;
    co_return answer_;
  }
  int n_asked = 0;

 private:
  Permission answer_;
};

PermissionDecision decide(tools::Approval approval, ApprovalMode mode, Consent consent,
                          std::vector<Observer*> observers) {
  const tools::Definition tool{.name = "shell", .approval = approval};
  asio::io_context context;
  std::optional<PermissionDecision> decision;
  asio::co_spawn(
      context,
      decide_permission({.session = "s", .call = {.id = "c", .name = "shell"}, .tool = &tool},
                        approval, mode, consent, std::move(observers)),
      [&](const std::exception_ptr&, PermissionDecision made) { decision = std::move(made); });
  context.run();
  return decision.value();
}

}  // namespace

TEST_CASE("the tool's class decides first, then the mode, then a person") {
  Answering no(Permission::reject);
  CHECK(decide(tools::Approval::allow, ApprovalMode::none, Consent::none, {&no}).allowed);
  CHECK_FALSE(decide(tools::Approval::deny, ApprovalMode::all, Consent::session, {&no}).allowed);
  CHECK(decide(tools::Approval::ask, ApprovalMode::all, Consent::none, {&no}).by == "mode");
  CHECK(no.n_asked == 0);
  CHECK_FALSE(decide(tools::Approval::ask, ApprovalMode::ask, Consent::none, {&no}).allowed);
  CHECK(no.n_asked == 1);
}

TEST_CASE("nobody to ask, or mode none, is a refusal with a reason for the model") {
  CHECK_FALSE(decide(tools::Approval::ask, ApprovalMode::ask, Consent::none, {}).allowed);
  const auto refused = decide(tools::Approval::ask, ApprovalMode::unattended, Consent::none, {});
  CHECK_FALSE(refused.allowed);
  CHECK(refused.reason.find("nobody can be asked") != std::string::npos);
}

TEST_CASE("a yes for the session is remembered by the session") {
  Answering session(Permission::allow_session);
  CHECK(decide(tools::Approval::ask, ApprovalMode::ask, Consent::none, {&session}).by == "session");
  Answering once(Permission::allow_once);
  CHECK(decide(tools::Approval::ask, ApprovalMode::ask, Consent::none, {&once}).by == "person");
  Answering unasked(Permission::reject);
  CHECK(decide(tools::Approval::ask, ApprovalMode::ask, Consent::session, {&unasked}).allowed);
  CHECK(unasked.n_asked == 0);
}

TEST_CASE("what was allowed before runs where nobody can be asked, but not under --approve none") {
  for (const auto consent : {Consent::session, Consent::always}) {
    const auto alone = decide(tools::Approval::ask, ApprovalMode::unattended, consent, {});
    CHECK(alone.allowed);
    CHECK(alone.by == (consent == Consent::session ? "session" : "always"));
    const auto none = decide(tools::Approval::ask, ApprovalMode::none, consent, {});
    CHECK_FALSE(none.allowed);
    CHECK(none.by == "mode");
  }
}
