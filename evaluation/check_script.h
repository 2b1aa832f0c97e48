// A shell script that says, in the sandbox, whether a repository is as it should be.
#pragma once

#include <filesystem>
#include <string>

#include "base/asio.h"
#include "base/result.h"
#include "sandbox/sandbox.h"

namespace sable::evaluation {

struct CheckScript {
  std::string script;
  std::filesystem::path repository;  ///< absolute: where it runs, and the only place it may change
  std::filesystem::path task;        ///< readable, and named by $TASK; empty: none
  std::string answer;                ///< the model's last words, on standard input
};

struct CheckResult {
  bool passed = false;  ///< the script ended with exit code 0
  /// When it did not: how it ended, and its last line, of standard error if there is any.
  std::string why;
};

/// Runs it with `policy`, whose writable roots are replaced. Errors: those of the sandbox.
asio::awaitable<Result<CheckResult>> run_check(sandbox::Sandbox& sandbox, sandbox::Policy policy,
                                               CheckScript check);

}  // namespace sable::evaluation
