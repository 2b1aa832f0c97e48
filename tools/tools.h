// What a model can call: definitions as data, arguments checked, one call run under one policy.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/asio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "sandbox/sandbox.h"
#include "tools/change_review.h"
#include "tools/file_change.h"
#include "tools/schema.h"
#include "tools/session_door.h"

namespace sable::tools {

/// Whether a person is asked before a call runs. Never widens what the sandbox allows.
enum class Approval { allow, ask, deny };

std::string_view name_of(Approval approval);
Result<Approval> parse_approval(std::string_view text);

/// What a call can change, which decides how a crash in the middle of one is recovered.
enum class Effect {
  none,       ///< reads only: may run again
  workspace,  ///< changes files below the workspace's root
  command,    ///< runs a program: anything its policy allows
};

std::string_view name_of(Effect effect);

/// One tool as the model and people see it.
struct Definition {
  std::string name;  ///< [A-Za-z0-9_-]{1,64}
  std::string description;
  Json parameters;  ///< JSON Schema of the arguments object
  Approval approval = Approval::allow;
  Effect effect = Effect::command;
  std::string source;  ///< "built-in", or the YAML file it came from
};

struct Call {
  std::string id;  ///< unique in its session
  std::string name;
  Json arguments;  ///< as the model sent it, checked before anything runs
};

/// What came of a call. A failed call is data for the model, not an error of ours.
struct Outcome {
  bool ok = true;
  std::string text;  ///< what the model reads, cut to size, always valid UTF-8
  /// Made in-process, or applied after they were kept apart; a command's other effects are not
  /// listed.
  std::vector<FileChange> changes;
  Json details = Json::object();  ///< exit code, signal, byte counts, ...: for the log and people
  std::string full_output;        ///< whole output when `text` was cut, for storing; else empty
};

class CommandSession;
class WorkspaceFiles;
struct ShellState;

/// The repository a session works on, opened once. Every path from a model is resolved beneath the
/// root by openat2(2), never by comparing strings. Remembers what was read, so that a file changed
/// by somebody else since then is not overwritten. Used by one session at a time.
class Workspace {
 public:
  enum class Access { read_write, read_only };

  /// `policy.writable` is set to the root; with read_only it is emptied and the root is readable.
  /// Errors: not_found (no such folder), denied (not a folder we may read or write).
  static Result<std::unique_ptr<Workspace>> open(const std::filesystem::path& root,
                                                 sandbox::Policy policy,
                                                 Access access = Access::read_write);
  /// The same on a worker, where a slow file system holds nobody up.
  static asio::awaitable<Result<std::unique_ptr<Workspace>>> open_on(
      asio::thread_pool& workers, std::filesystem::path root, sandbox::Policy policy,
      Access access = Access::read_write);
  virtual ~Workspace() = default;

  virtual const std::filesystem::path& root() const = 0;
  virtual const sandbox::Policy& policy() const = 0;

  /// The files beneath the root, for the built-in tools (tools/workspace_files.h).
  virtual WorkspaceFiles& files() = 0;

  /// What shell calls leave for the next one (tools/shell_state.h).
  virtual ShellState& shell_state() = 0;

  /// Where shell calls and background processes run (tools/command_session.h).
  virtual CommandSession& commands() = 0;

  /// Ends what runs in the background and waits until it is gone. Must have completed before
  /// destruction if a call ran.
  virtual asio::awaitable<void> close() = 0;
};

/// Output of a running command as it comes: a preview, made safe to show.
using OutputPreview = std::function<void(std::string_view text)>;

/// What a running call may use; borrowed for the time of the call.
struct CallContext {
  Workspace& workspace;
  sandbox::Sandbox& sandbox;
  asio::thread_pool& workers;      ///< for blocking file work; the loop's thread does none
  OutputPreview preview;           ///< may be empty
  SessionDoor* session = nullptr;  ///< null: a call by hand
  /// Where changes are kept apart if the policy wants that; empty: such a call is refused.
  std::filesystem::path kept_apart = {};
  ChangeReviewer* reviewer = nullptr;  ///< of those; null: they are dropped
};

/// Runs a call of a tool from another source, whose arguments fit its schema. Errors as of
/// Registry::run(); what the model can act on is an Outcome with ok == false.
using CallHandler = std::function<asio::awaitable<Result<Outcome>>(Call call, CallContext context)>;

/// What a sandbox profile allows, by its name. not_found names those that there are.
using ProfileLookup = std::function<Result<sandbox::Policy>(const std::string& name)>;

/// The approval class of one call, and what decided it.
struct ApprovalDecision {
  Approval approval = Approval::deny;
  std::string tool;      ///< whose class it is: the called one, or one that it follows
  std::string argument;  ///< whose value matched a rule of that tool's file; empty: no rule did
};

/// The tools a session has. Built once, then only read.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(Registry&&) noexcept;
  Registry& operator=(Registry&&) noexcept;

  /// Those of docs/tools.md.
  static Registry with_builtins();

  /// Where the profiles that YAML files name are looked up, when they are added; without it none
  /// is known.
  void use_profiles(ProfileLookup profiles);

  /// Adds the tools of one YAML file (docs/tools.md). Errors begin with FILE:LINE:COLUMN.
  Result<void> add_yaml(std::string_view text, std::string_view file_name);

  /// Adds one tool of another source: the door for whatever brings tools that are neither ours nor
  /// in YAML files (a client of tool servers, say). Its approval class, its effect and its source's
  /// name are the source's to say truly; its schema is checked as a file's is, and its name may
  /// not be taken. Errors: invalid_input, which names the source and the tool.
  Result<void> add(Definition definition, CallHandler handler);

  /// In a fixed order: built-ins first, then as they were added.
  std::vector<const Definition*> list() const;
  const Definition* find(std::string_view name) const;  ///< nullptr when unknown

  /// The approval class of this very call: the tool's, or a stricter one that its file asks for by
  /// patterns on arguments, absent ones at their defaults. deny for an unknown tool.
  Approval approval_for(const Call& call) const;
  /// The same, with what decided it.
  ApprovalDecision decision_for(const Call& call) const;

  /// Changes a tool's approval class, e.g. by configuration. not_found when unknown.
  Result<void> set_approval(std::string_view name, Approval approval);
  /// Keeps only the named tools. not_found names the first unknown one and the nearest known.
  Result<void> keep_only(const std::vector<std::string>& names);

  /// Checks arguments against the tool's schema. The error is written for the model: JSON pointer,
  /// what was expected, what came, and the schema's fragment; an unknown tool names the nearest
  /// ones.
  Result<void> check(const Call& call) const;

  /// check() and, for a call that it accepts, approval_for(): on a worker, since schemas and
  /// patterns may take more steps than the loop's thread has time for.
  asio::awaitable<Result<Approval>> admit(Call call, asio::thread_pool& workers) const;

  /// Runs a call that check() accepted. Errors are ours or the machine's (sandbox unavailable, loop
  /// going down); everything the model can act on is an Outcome with ok == false.
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sable::tools
