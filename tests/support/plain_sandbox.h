// A Sandbox without walls, for tests of what uses one: a plain child process of this one.
#pragma once

#include "sandbox/sandbox.h"

namespace sable::test {

/// A session whose commands share nothing: each is a run of the sandbox, which outlives it.
class UnsharedSession : public sandbox::Session {
 public:
  UnsharedSession(sandbox::Sandbox& sandbox, sandbox::Policy policy)
      : sandbox_(sandbox), policy_(std::move(policy)) {}
  asio::awaitable<Result<sandbox::RunResult>> run(sandbox::Command command,
                                                  sandbox::OutputSink output) override;
  asio::awaitable<Result<std::shared_ptr<sandbox::Process>>> start(
      sandbox::Command, sandbox::ProcessOptions) override;
  asio::awaitable<void> close() override;

 private:
  sandbox::Sandbox& sandbox_;
  const sandbox::Policy policy_;
};

/// Runs commands with the policy's environment and time limit, and enforces nothing else. Blocks
/// the loop while the command runs.
class PlainSandbox : public sandbox::Sandbox {
 public:
  asio::awaitable<Result<sandbox::RunResult>> run(sandbox::Policy policy, sandbox::Command command,
                                                  sandbox::OutputSink output) override;
  asio::awaitable<Result<std::unique_ptr<sandbox::Session>>> open_session(
      sandbox::Policy policy) override;
};

}  // namespace sable::test
