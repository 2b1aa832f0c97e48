// A small world for one test: a home, a copy of the example repository, a scripted model, the
// program.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "base/json.h"
#include "tests/support/scripted_model_server.h"
#include "tests/support/temporary_folder.h"

namespace sable::test {

/// What one run of the program left.
struct Finished {
  int exit_code = -1;
  int signal = 0;
  std::string out, err;

  /// Lines of standard output that are JSON objects.
  std::vector<Json> json_lines() const;
};

class World {
 public:
  World();

  const std::filesystem::path& repository() const { return repository_; }
  std::filesystem::path home() const { return folder_ / "home"; }
  const TemporaryFolder& folder() const { return folder_; }

  /// Starts the scripted model; replies as tests/support/scripted_model_server.h describes.
  ScriptedModelServer& play(const Json& replies);
  ScriptedModelServer& model() { return *model_; }

  /// {"--base-url", …, "--model", …}: how the program finds the scripted model.
  std::vector<std::string> model_arguments() const;

  /// {"PATH=…", "HOME=…", "SABLE_HOME=…", "TEST_KEY=…"}: what programs are started with.
  std::vector<std::string> environment() const;

  /// `sable ARGUMENTS…` with an empty environment but PATH, HOME and SABLE_HOME; stdin is
  /// /dev/null.
  ChildProcess start(std::vector<std::string> arguments, const std::string& name = "run") const;
  /// The same for another program, named by its path.
  ChildProcess start_program(std::vector<std::string> argv, const std::string& name) const;
  static std::string program() { return std::string(SABLE_BINARY_DIR) + "/sable"; }
  Finished finish(ChildProcess& process, const std::string& name = "run",
                  std::chrono::milliseconds limit = std::chrono::seconds(60)) const;
  /// start() and finish().
  Finished sable(std::vector<std::string> arguments) const;

  /// `sable run TASK` in the repository with the scripted model and these further arguments.
  Finished run(const std::string& task, std::vector<std::string> further = {}) const;

  /// Waits until the file exists (made by a tool of the script).
  bool wait_for(const std::filesystem::path& file) const;

 private:
  TemporaryFolder folder_;
  std::filesystem::path repository_;
  std::unique_ptr<ScriptedModelServer> model_;
};

/// {"name", "arguments"} for a scripted reply.
Json tool_call(const std::string& name, const Json& arguments);

/// The only JSON object that a program which did its job wrote; a failed test otherwise.
Json object_of(const Finished& finished);

/// The types of events, in order.
std::vector<std::string> types_of(const std::vector<Json>& events);
/// The data of those of one type, in order.
std::vector<Json> data_of(const std::vector<Json>& events, std::string_view type);
/// The tokens of each of the model's replies.
std::vector<Json> tokens_of(const std::vector<Json>& events);

}  // namespace sable::test
