// A Sandbox without walls, for tests of what uses one: a plain child process of this one.
#pragma once

#include "sandbox/sandbox.h"

namespace sable::test {

/// Runs commands with the policy's environment and time limit, and enforces nothing else. Blocks
/// the loop while the command runs.
class PlainSandbox : public sandbox::Sandbox {
 public:
  asio::awaitable<Result<sandbox::RunResult>> run(sandbox::Policy policy, sandbox::Command command,
                                                  sandbox::OutputSink output) override;
};

}  // namespace sable::test
