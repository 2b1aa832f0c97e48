// Where a teacher plays a task: a folder with a repository, and the real tools over it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "evaluation/files.h"
#include "sandbox/sandbox.h"
#include "tools/tools.h"

namespace sable::evaluation {

/// A folder and the real tools, their commands in the real sandbox. Used for one task after
/// another, by one thread at a time; its calls block.
class Workbench {
 public:
  /// `folder` is made, and emptied for each repository. Errors: io.
  static Result<std::unique_ptr<Workbench>> open(const std::filesystem::path& folder,
                                                 std::unique_ptr<sandbox::Sandbox> sandbox);
  ~Workbench();

  Result<void> lay_out(const Files& files);
  /// What a call gives; one that the tool's schema refuses gives the refusal, as in a session.
  Result<tools::Outcome> call(const std::string& tool, const Json& arguments);
  const std::filesystem::path& folder() const;

 private:
  struct State;
  explicit Workbench(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sable::evaluation
