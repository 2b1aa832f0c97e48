// A workspace in a temporary folder and a way to call a tool and wait for it.
#pragma once

#include <string>

#include "tests/support/plain_sandbox.h"
#include "tests/support/temporary_folder.h"
#include "tools/tools.h"

namespace sable::test {

class ToolFixture {
 public:
  ToolFixture() { open(); }
  ~ToolFixture() { close(); }
  ToolFixture(const ToolFixture&) = delete;
  ToolFixture& operator=(const ToolFixture&) = delete;

  /// Opens the workspace anew: what was read is forgotten, what ran is ended.
  void open(sandbox::Policy policy = {},
            tools::Workspace::Access access = tools::Workspace::Access::read_write);

  /// Checks and runs one call of a built-in; a failed check comes back as an outcome.
  tools::Outcome call(const std::string& tool, Json arguments);
  /// Runs without check().
  tools::Outcome run(const std::string& tool, Json arguments);

  TemporaryFolder folder;
  tools::Registry registry = tools::Registry::with_builtins();
  std::string preview;
  tools::SessionDoor* session = nullptr;      ///< what calls see of their session
  tools::ChangeReviewer* reviewer = nullptr;  ///< of changes that are kept apart
  TemporaryFolder kept_apart;                 ///< where they are

  /// Runs commands in this sandbox instead of a plain one, until close().
  void use(sandbox::Sandbox& sandbox) { sandbox_ = &sandbox; }
  /// Ends what runs in the background.
  void close();

  tools::Workspace& workspace() { return *workspace_; }

 private:
  asio::io_context loop_;
  std::unique_ptr<tools::Workspace> workspace_;
  PlainSandbox plain_;
  sandbox::Sandbox* sandbox_ = &plain_;
  asio::thread_pool workers_{1};
};

/// A fixture whose commands run in a sandbox, as in the program.
class SandboxedTools : public ToolFixture {
 public:
  SandboxedTools();
  ~SandboxedTools() { close(); }

 private:
  std::unique_ptr<sandbox::Sandbox> sandbox_;
};

}  // namespace sable::test
