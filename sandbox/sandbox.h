// Run one command under one policy. A tool touches what its policy names and nothing else; a
// machine that cannot enforce a policy gets a refusal, never a weaker sandbox.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/asio.h"
#include "base/log.h"
#include "base/result.h"

namespace sable::sandbox {

/// Whom a command may talk to.
enum class Network {
  none,      ///< nobody: an own network namespace with its loopback down (the default)
  loopback,  ///< processes of the same call, over an own loopback
  open,  ///< everything the host reaches: an explicit opt-out of the user, never of a repository
};

struct Limits {
  std::chrono::milliseconds wall{120'000};         ///< then SIGTERM to the command's process group
  std::chrono::milliseconds grace{2'000};          ///< then SIGKILL to its whole pid namespace
  std::chrono::seconds cpu{600};                   ///< of one process (RLIMIT_CPU)
  uint64_t memory_bytes = uint64_t{4} << 30;       ///< of all processes together
  uint32_t processes = 320;                        ///< alive at once
  uint64_t file_bytes = uint64_t{4} << 30;         ///< of one file (RLIMIT_FSIZE)
  uint32_t open_files = 1024;                      ///< of one process (RLIMIT_NOFILE)
  uint64_t temporary_bytes = uint64_t{512} << 20;  ///< of the private /tmp and /dev/shm
  uint64_t output_bytes = uint64_t{64} << 20;  ///< of standard output and error together; then the
                                               ///< command is ended

  friend bool operator==(const Limits&, const Limits&) = default;
};

/// What a command may touch. A value: copied, compared, printed, logged. Paths are absolute; what
/// does not exist is an error when it is writable and left out of the view when it is readable.
struct Policy {
  std::string profile = "tool";                 ///< its name, for people
  std::vector<std::filesystem::path> readable;  ///< besides the system's programs and libraries
  std::vector<std::filesystem::path> writable;  ///< roots
  std::vector<std::filesystem::path> masked;    ///< shown empty, also below the roots above
  Network network = Network::none;
  std::map<std::string, std::string> environment;  ///< exactly this besides a fixed PATH, HOME, ...
  Limits limits;

  friend bool operator==(const Policy&, const Policy&);
};

/// The policy as canonical JSON, for logs, digests and `sable sandbox explain --json`.
std::string to_json_text(const Policy& policy);

struct Command {
  std::vector<std::string> argv;  ///< argv[0]: a path, or a name looked up in the sandbox's PATH
  std::filesystem::path working_directory;  ///< inside the view; empty: the first writable root
  std::string stdin_data;                   ///< written to standard input, then it is closed
};

enum class Stream { standard_output, standard_error };

/// Receives raw output as it comes, on the thread that runs the coroutine. Never called after run()
/// ends.
using OutputSink = std::function<void(Stream, std::string_view bytes)>;

/// Why a command is over.
enum class End { exited, signalled, deadline, cancelled, output_limit, memory_limit };

std::string_view name_of(End end);

/// What became of the program: data, not an error of ours.
struct RunResult {
  End end = End::exited;
  int exit_code = 0;                            ///< when end is exited
  int signal = 0;                               ///< when the program died of one, whoever sent it
  uint64_t stdout_bytes = 0, stderr_bytes = 0;  ///< seen, also beyond what a caller keeps
  std::chrono::milliseconds wall{0};
  std::string explanation;  ///< for any end but a plain exit: which limit or rule, in one sentence
  /// What programs outside the sandbox would run or believe (repository hooks and configuration,
  /// editor tasks, settings of agents) and the command made, moved or replaced in its writable
  /// roots. What existed before cannot be edited; what is new is named here, never deleted: ask
  /// before using it.
  std::vector<std::filesystem::path> protected_changes;
};

/// One enforcing mechanism on this machine.
struct Layer {
  enum class State { enforced, degraded, missing };
  std::string name;  ///< "user namespaces", "Landlock", "seccomp", "memory limit", ...
  State state = State::missing;
  std::string detail;    ///< what enforces it here: "ABI 7", "cgroup v1", "watcher", or the errno
  std::string remedy;    ///< what to change when it is not enforced; else empty
  bool required = true;  ///< without it no command runs
};

/// Tries every mechanism once, in a child. What `sable doctor` prints.
std::vector<Layer> probe_layers();

/// In plain words what `policy` lets a command touch, and which layer of `layers` enforces each
/// line.
std::string explain(const Policy& policy, const std::vector<Layer>& layers);

/// A place for several commands under one policy: they share temporary folders and (with
/// Network::loopback) a network, each has its own processes. What one leaves in /tmp the next one
/// finds; a process that it leaves behind is ended with it.
class Session {
 public:
  /// Ends everything in it. run() must have completed.
  virtual ~Session() = default;

  /// As Sandbox::run(), with the session's policy.
  virtual asio::awaitable<Result<RunResult>> run(Command command, OutputSink output) = 0;
};

/// The connection to the launcher: a small process without secrets that makes the sandboxes. Start
/// it first in main(), before threads exist, secrets are read or a model is loaded. The launcher
/// and all that it started die with this process.
class Sandbox {
 public:
  /// `launcher`: the sable-launcher program. Errors: not_found, unsupported (names the missing
  /// mechanism and the setting that fixes it).
  static Result<std::unique_ptr<Sandbox>> start(const std::filesystem::path& launcher);
  virtual ~Sandbox() = default;

  /// Runs one command to its end; several may run at once. Cancelling the coroutine kills the
  /// command and everything it started, and the result says `cancelled`: run() always waits until
  /// nothing of the call is alive. Errors: invalid_input (a path of the policy), unsupported
  /// (cannot be enforced here: which step, which errno, what to do), not_found (the program), io
  /// (the launcher died).
  virtual asio::awaitable<Result<RunResult>> run(Policy policy, Command command,
                                                 OutputSink output) = 0;

  /// A session of its own; the sandbox outlives it. Errors: as run().
  virtual asio::awaitable<Result<std::unique_ptr<Session>>> open_session(Policy policy);
};

}  // namespace sable::sandbox
