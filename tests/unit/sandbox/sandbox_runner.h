// Runs commands in a real sandbox from a test, and looks for what they left behind.
#pragma once

#include <string>
#include <vector>

#include "sandbox/sandbox.h"
#include "tests/support/temporary_folder.h"

namespace sable::test {

struct Outcome {
  Result<sandbox::RunResult> result;
  std::string output, errors;
};

/// A launcher, a writable folder and a loop.
class SandboxRunner {
 public:
  explicit SandboxRunner(const std::string& launcher = "sable-launcher",
                         bool memory_cgroups = true);

  /// Runs to the end. `policy.writable` gets the folder in front.
  Outcome run(std::vector<std::string> argv, sandbox::Policy policy = {},
              std::string stdin_data = {});
  /// The same with /bin/sh -c.
  Outcome shell(const std::string& script, sandbox::Policy policy = {});

  const TemporaryFolder& folder() const { return folder_; }
  sandbox::Sandbox& box() { return *sandbox_; }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<sandbox::Sandbox> sandbox_;
};

/// A session of a runner's sandbox, and a loop.
class SessionRunner {
 public:
  /// `policy.writable` gets the runner's folder in front. The runner outlives this.
  explicit SessionRunner(SandboxRunner& runner, sandbox::Policy policy = {});
  ~SessionRunner();  ///< closes it

  Outcome run(std::vector<std::string> argv);
  Outcome shell(const std::string& script) { return run({"/bin/sh", "-c", script}); }
  /// All at the same time, to the end of the last.
  std::vector<Outcome> run_together(const std::vector<std::vector<std::string>>& commands);

  sandbox::Session& session() { return *session_; }

  /// Runs a coroutine to its end.
  template <class T>
  T await(asio::awaitable<T> work) {
    std::optional<T> value;
    asio::co_spawn(loop_, std::move(work), [&](const std::exception_ptr& failure, T done) {
      if (failure) std::rethrow_exception(failure);
      value = std::move(done);
    });
    loop_.restart();
    while (!value && loop_.run_one() > 0) {
    }
    return std::move(*value);
  }

 private:
  asio::io_context loop_;
  std::unique_ptr<sandbox::Session> session_;
};

/// A shell command that prints how many processes it sees and its parent's id. The shell itself
/// does both: the programs of a pipe come up one after another, so that counting them would race.
inline constexpr const char* count_processes_and_parent =
    "set -- /proc/[0-9]*; echo $#; echo $PPID";
/// A name that no other process on the machine carries in its arguments.
std::string unique_marker();
/// How many processes have `marker` in their command line or environment.
int processes_with(const std::string& marker);
/// Waits up to two seconds for that number to become zero.
bool all_gone(const std::string& marker);
int open_descriptors();
/// Whether a process is there and no zombie.
bool is_alive(pid_t pid);
/// The launcher that `parent` started; -1 if there is none.
pid_t launcher_of(pid_t parent);
/// How many processes, zombies included, have this parent.
int children_of(pid_t parent);

}  // namespace sable::test
