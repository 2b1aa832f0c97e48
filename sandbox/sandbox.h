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
#include "base/unique_fd.h"

namespace sable::sandbox {

/// Whom a command may talk to.
enum class Network {
  none,      ///< nobody: an own network namespace with its loopback down (the default)
  loopback,  ///< processes of the same call, over an own loopback
  allow,     ///< as loopback, and hosts on a list through a logging proxy
  open,  ///< everything the host reaches: an explicit opt-out of the user, never of a repository
};

/// A host that Network::allow lets through, on one port. The proxy looks its name up, judges every
/// address and dials the one it judged.
struct AllowedHost {
  std::string name;  ///< canonical; "*.example.org" for everything below it; or an address
  uint16_t port = 443;
  /// Its addresses may be private, loopback or this host's. Link-local ones and metadata services
  /// may not, unless `name` is that very address.
  bool private_addresses = false;

  friend bool operator==(const AllowedHost&, const AllowedHost&) = default;
};

/// "HOST[:PORT][/private]"; the port is 443 unless given.
Result<AllowedHost> parse_allowed_host(std::string_view text);

/// What the proxy decided about one connection.
struct NetworkDecision {
  std::string host;  ///< canonical, or what was asked for, escaped
  uint16_t port = 0;
  bool allowed = false;
  std::string reason;   ///< when refused or failed: one sentence
  std::string address;  ///< that was dialed
  uint64_t bytes_sent = 0, bytes_received = 0;
};

/// What becomes of a command's changes in the writable roots.
enum class FileEffects {
  direct,       ///< they are there at once (the default)
  transaction,  ///< kept apart, then applied or dropped as a whole; see KeptApart
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
  /// What the file systems of the writable roots may lose in free space while it runs, and in free
  /// inodes: others' writes to them count too, since nothing tells them apart. Never to the last
  /// 256 MiB, or half of what was free before.
  uint64_t disk_bytes = uint64_t{32} << 30;
  uint64_t disk_files = 2'000'000;
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
  /// With `transaction` nothing runs unless every writable root is one of `transactions`.
  FileEffects files = FileEffects::direct;
  /// Writable roots (folders) whose changes go to a transaction's store instead; see Transaction.
  std::map<std::filesystem::path, std::filesystem::path> transactions;
  Network network = Network::none;
  std::vector<AllowedHost> allowed_hosts;          ///< of Network::allow; none: nothing is allowed
  std::map<std::string, std::string> environment;  ///< exactly this besides a fixed PATH, HOME, ...
  Limits limits;

  friend bool operator==(const Policy&, const Policy&);
};

/// The policy as canonical JSON, for logs, digests and `sable sandbox explain --json`.
std::string to_json_text(const Policy& policy);

/// More of a command's input, asked for each time it has taken what there was, on the thread that
/// runs it; empty is the end. What is still awaited when the command ends is cancelled.
using InputSource = std::function<asio::awaitable<std::string>()>;

/// Reaches a command while somebody awaits its end. On the thread that runs the coroutine.
class CommandHandle {
 public:
  /// To the command's process group; kept until the command runs.
  void signal(int number);
  /// Kills it and everything it started: its result says `cancelled`.
  void kill();

  /// For the sandbox that runs the command: from now on it is reached by these, until detach().
  void attach(std::function<void(int)> signal, std::function<void()> kill);
  void detach();

 private:
  std::function<void(int)> signal_;
  std::function<void()> kill_;
  std::vector<int> waiting_;
  bool kill_waiting_ = false;
};

struct Command {
  std::vector<std::string> argv;  ///< argv[0]: a path, or a name looked up in the sandbox's PATH
  std::filesystem::path working_directory = {};  ///< inside the view; empty: first writable root
  std::string stdin_data = {};                   ///< written to standard input, then it is closed
  InputSource input = {};                        ///< unless there is this: then it comes behind
  std::optional<std::chrono::milliseconds> wall = {};  ///< narrows the policy's; never widens it
  std::shared_ptr<CommandHandle> handle = {};          ///< one command's; null: none is wanted
};

enum class Stream { standard_output, standard_error };

/// Receives raw output as it comes, on the thread that runs the coroutine. Never called after run()
/// ends.
using OutputSink = std::function<void(Stream, std::string_view bytes)>;

/// Why a command is over.
enum class End { exited, signalled, deadline, cancelled, output_limit, memory_limit, disk_limit };

std::string_view name_of(End end);

/// Why a file at `path` (relative to a writable root, at any depth) is run or believed by programs
/// outside the sandbox: "repository control data ..." and the like. nullopt when it is not. The
/// whole folder of a repository counts; commands may write most of that, file tools need not.
std::optional<std::string_view> protection_of(std::string_view path);

/// What tools in this process may not write below one folder: what protection_of() says, and what
/// the settings of git repositories there, above and around it name (core.hooksPath, included
/// files, filters, monitors, ...). The first question walks the folder, later ones look at what
/// changed. Its calls block, and may come from any thread.
class Protection {
 public:
  /// `root`: canonical. Asks nothing of the disk.
  explicit Protection(std::filesystem::path root);
  ~Protection();

  /// Why `path` (relative, without "..") is protected, there or not; nullopt when it is not.
  std::optional<std::string> reason(std::string_view path);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One path that a transaction changes.
struct Change {
  enum class Kind { created, modified, removed, replaced };  ///< replaced: by another type of thing
  enum class Type { file, folder, symlink, other };          ///< other: cannot be applied
  std::filesystem::path path;                                ///< relative to the root
  Kind kind = Kind::created;
  Type type = Type::file;  ///< of the new thing; of a removed one, what it was
  uint64_t bytes = 0;      ///< of a new file
  unsigned mode = 0;
  /// Run or believed by programs outside the sandbox: hooks, settings, start-up files.
  bool protected_name = false;

  friend bool operator==(const Change&, const Change&) = default;
};

/// The changes that commands make below one writable root, kept apart until they are applied or
/// dropped as a whole: an overlay whose upper layer is the transaction's store. Name it in
/// Policy::transactions; one command or session at a time. Nothing may run in it while it is
/// looked at, applied or dropped. Its calls block for as long as the disk needs.
class Transaction {
 public:
  /// A new one. `store`: a folder of ours on a real file system, missing or empty, not below
  /// `root`. Errors: invalid_input, io.
  static Result<Transaction> create(const std::filesystem::path& root,
                                    const std::filesystem::path& store);
  /// One that exists. If a crash interrupted apply(), that is brought to its end first: what began
  /// to be applied is applied whole. Errors: not_found, corrupt, io.
  static Result<Transaction> open(const std::filesystem::path& store);

  const std::filesystem::path& root() const { return root_; }
  const std::filesystem::path& store() const { return store_; }

  /// Parents before what lies in them. A folder that was replaced is named with all that it holds
  /// now, but not with what it held.
  Result<std::vector<Change>> changes() const;
  /// The place of the new content of a changed file, for a diff; read it without following links.
  std::filesystem::path changed_file(const std::filesystem::path& path) const;

  enum class Protected { refuse, accept };
  /// Makes all changes in the root, each file by a rename, and empties the store. denied: a
  /// protected name is among them, or a path was changed in the root by somebody else meanwhile;
  /// then nothing is applied. What cannot be applied (sockets, devices) is left out. Access rights
  /// are applied, owners, set-id bits and extended attributes are not.
  Result<void> apply(Protected names = Protected::refuse);
  /// Forgets all changes; the transaction can be used on.
  Result<void> drop();

 private:
  Transaction(std::filesystem::path root, std::filesystem::path store, int64_t since_ns)
      : root_(std::move(root)), store_(std::move(store)), since_ns_(since_ns) {}

  std::filesystem::path root_, store_;
  int64_t since_ns_;  ///< what changed in the root later is somebody else's work
};

/// Transactions on all writable roots of one policy. Their stores lie in a folder of their own,
/// which is locked as long as this lives and then removed: what was not applied is dropped. What a
/// crash leaves there, finish_interrupted() brings to its end. Its calls block, the destructor's
/// too.
class KeptApart {
 public:
  /// `place`: where the folder is made; ours alone, made if missing, not below a writable root.
  /// Puts a transaction on each writable root of `policy`. Errors: invalid_input (no writable
  /// root), io, and those of Transaction.
  static Result<KeptApart> begin(const std::filesystem::path& place, Policy& policy);
  KeptApart(KeptApart&&) noexcept = default;
  ~KeptApart();

  const std::vector<Transaction>& transactions() const { return transactions_; }

  /// Applies each root's changes as a whole, in order. Errors: as Transaction::apply(); after any
  /// but denied part of them may be applied, and the rest waits for finish_interrupted().
  Result<void> apply(Transaction::Protected names);

  /// Of what a crash left in `place`: what began to be applied is applied whole, all else is gone
  /// with the command that made it. Leaves alone what somebody has locked. Returns a sentence for
  /// each transaction that cannot be brought to its end now (a full disk, say) and stays.
  static std::vector<std::string> finish_interrupted(const std::filesystem::path& place);

 private:
  static Result<KeptApart> make_folder(const std::filesystem::path& place);

  KeptApart(std::filesystem::path folder, UniqueFd lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}

  std::filesystem::path folder_;
  UniqueFd lock_;
  std::vector<Transaction> transactions_;
  bool unfinished_ = false;  ///< part of it is applied
};

/// What became of the program: data, not an error of ours.
struct RunResult {
  End end = End::exited;
  int exit_code = 0;                            ///< when end is exited
  int signal = 0;                               ///< when the program died of one, whoever sent it
  uint64_t stdout_bytes = 0, stderr_bytes = 0;  ///< seen, also beyond what a caller keeps
  std::chrono::milliseconds wall{0};
  std::string explanation;  ///< for any end but a plain exit: which limit or rule, in one sentence
  /// When it failed: what its own messages and the proxy's decisions tell of paths and addresses
  /// that the policy denies. One sentence each: which, by which rule, held by which layer. A guess
  /// from text, for people and models.
  std::vector<std::string> denials;
  /// What programs outside the sandbox would run or believe (repository hooks and configuration,
  /// editor tasks, settings of agents) and the command made, moved or replaced in its writable
  /// roots. What existed before cannot be edited; what is new is named here, never deleted: ask
  /// before using it.
  std::vector<std::filesystem::path> protected_changes;
  /// Of Network::allow, in their order. In a session that runs several calls at once, those of all
  /// of them since the last result.
  std::vector<NetworkDecision> network_decisions;
  uint64_t network_decisions_left_out = 0;  ///< beyond the first 256
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

struct TerminalSize {
  uint16_t columns = 80, rows = 24;
};

struct ProcessOptions {
  /// A terminal of its own instead of three streams, for programs that need one.
  std::optional<TerminalSize> terminal;
  size_t output_kept = size_t{1} << 20;  ///< the last so many unread bytes are kept
};

struct ProcessOutput {
  std::string bytes;     ///< standard output and error as they came, or what the terminal got
  uint64_t skipped = 0;  ///< bytes before these that were not kept
  bool running = false;
};

/// A program that runs on beside other calls of its session, and ends with it at the latest; the
/// policy's wall time and output limit do not apply. One thread: the one its session runs on.
class Process {
 public:
  /// Ends the program; its session waits for that in close().
  virtual ~Process() = default;

  virtual bool running() const = 0;
  /// What came since the last read. Waits for the first byte, the end, or `patience`.
  virtual asio::awaitable<ProcessOutput> read(std::chrono::milliseconds patience) = 0;
  /// Does not wait. exhausted: the program leaves too much unread; invalid_input: its input was
  /// closed or it has ended.
  virtual Result<void> write(std::string_view bytes) = 0;
  /// What was written still arrives, then the end of the file. Of a terminal: types its end.
  virtual Result<void> close_input() = 0;
  /// invalid_input without a terminal.
  virtual Result<void> resize(TerminalSize size) = 0;
  virtual asio::awaitable<Result<RunResult>> wait() = 0;
  /// SIGTERM to its process group, after the policy's grace SIGKILL to everything it started.
  virtual asio::awaitable<Result<RunResult>> stop() = 0;
};

/// A place for several commands under one policy: they share temporary folders and (with
/// Network::loopback) a network, each has its own processes. What one leaves in /tmp the next one
/// finds; a process that it leaves behind is ended with it. One thread at a time.
class Session {
 public:
  /// Kills everything in it. close() must have completed if start() or Network::allow was used.
  virtual ~Session() = default;

  /// As Sandbox::run(), with the session's policy.
  virtual asio::awaitable<Result<RunResult>> run(Command command, OutputSink output) = 0;

  /// A program in the background. Errors: as run(); what keeps the program from starting is in the
  /// result of wait(). `command.stdin_data` is written first; the input stays open.
  virtual asio::awaitable<Result<std::shared_ptr<Process>>> start(Command command,
                                                                  ProcessOptions options) = 0;

  /// Ends its processes and waits until they are gone. Nothing runs in it afterwards.
  virtual asio::awaitable<void> close() = 0;
};

/// The connection to the launcher: a small process without secrets that makes the sandboxes. Start
/// it first in main(), before threads exist, secrets are read or a model is loaded. The launcher
/// and all that it started die with this process.
class Sandbox {
 public:
  /// `launcher`: the sable-launcher program. Memory is limited by a cgroup for each call where the
  /// machine lets us make one, else, and without `memory_cgroups`, by pid 1 of the call, which
  /// watches. Errors: not_found, unsupported (names the missing mechanism and the setting that
  /// fixes it).
  static Result<std::unique_ptr<Sandbox>> start(const std::filesystem::path& launcher,
                                                bool memory_cgroups = true);
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

/// No sandbox at all: commands run with all rights of this process, and of a policy only the
/// environment, the wall time and the output limit hold; new protected names are still reported.
/// For a user who asks for it on the command line and nobody else; whoever makes one records it and
/// shows it. Its sessions share nothing, and start nothing in the
/// background.
std::unique_ptr<Sandbox> without_sandbox();

}  // namespace sable::sandbox
