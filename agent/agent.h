// The agent: a session asks a model, runs the tools it calls for, logs every fact, until it is
// done.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/engine_provider.h"
#include "agent/http_transport.h"
#include "agent/prompt/conversation.h"
#include "agent/prompt/encode_prompt.h"
#include "agent/prompt/prompt_texts.h"
#include "agent/prompt/render_prompt.h"
#include "agent/provider.h"
#include "agent/rewind.h"
#include "agent/sequence_snapshots.h"
#include "agent/token_source.h"
#include "base/asio.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "memory/memory.h"
#include "sandbox/sandbox.h"
#include "tools/tools.h"

namespace sable::agent {

// ---------------------------------------------------------------- providers

/// An endpoint that speaks OpenAI Chat Completions.
struct OpenAiOptions {
  std::string name = "openai";
  std::string base_url;  ///< ends before /chat/completions: "https://api.deepseek.com/v1"
  std::string model;
  std::string api_key;  ///< empty: no Authorization header
  std::chrono::milliseconds idle_timeout{120'000};
  int attempts_max = 4;  ///< for 429, 5xx and connections that fail before the first delta
};

/// `transport` outlives the provider.
std::unique_ptr<Provider> make_openai_provider(OpenAiOptions options, HttpTransport& transport,
                                               Log log);

// ---------------------------------------------------------------- sessions

/// What calls in the class ask get (--approve). `unattended` is what ask becomes where nobody can
/// be asked: what a person allowed before, for the session or for good, still runs; under `none` no
/// call of that class does.
enum class ApprovalMode { ask, all, none, unattended };

Result<ApprovalMode> parse_approval_mode(std::string_view text);

/// Bounds of one turn; reaching one ends the turn with status "limit".
struct TurnLimits {
  int steps_max = 50;
  int tool_calls_max = 200;
  int repeated_failures_max = 3;  ///< calls that could not be understood, in a row
  int same_failures_max = 5;      ///< the very same call failing, with nothing changed in between
  std::chrono::milliseconds time_max{std::chrono::hours(1)};
  uint64_t output_tokens_max = 1'000'000;
};

/// How an agent puts a tool to its model: in other words, with fewer parameters.
struct ToolOffer {
  std::string description;  ///< empty: the tool's own
  /// Names, in order, with their descriptions (may be empty); absent: the tool's own.
  std::optional<std::vector<std::pair<std::string, std::string>>> parameters;
};

/// A named way of working: system prompt, tools, sampling.
struct AgentConfig {
  std::string name = "default";
  std::string system_prompt;
  std::vector<std::string> tools;           ///< empty: all of the registry
  std::map<std::string, ToolOffer> offers;  ///< by tool
  Sampling sampling;
  bool read_instructions = true;  ///< AGENTS.md of the repository
};

struct PermissionRequest {
  std::string session;
  tools::Call call;
  const tools::Definition* tool;
};

/// `allow_always` is for the session as far as the agent is concerned; who asked keeps it for later
/// ones.
enum class Permission { allow_once, allow_session, allow_always, reject };

/// A question of the model in the middle of a turn.
struct UserQuestion {
  std::string session, call_id;
  tools::Question question;
};

/// A delta on its way to people: no number, not durable, repeated whole by a later event.
struct Preview {
  /// `restarted` voids what was previewed of this step; its text says why.
  enum class Kind { text, reasoning, call, tool_output, restarted };
  Kind kind = Kind::text;
  int step = 0;
  std::string call_id;  ///< of tool_output, and of call once it is known
  std::string name;     ///< of call
  std::string text;
};

/// Whoever watches a session: a terminal, a WebSocket, a test. Called on the loop's thread.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_event(const memory::Event& event) = 0;  ///< durable when this is called
  virtual void on_preview(const Preview& preview) = 0;
  /// Asks a person. Any failure to answer is `reject`. Default: reject.
  virtual asio::awaitable<Permission> on_permission(PermissionRequest request);
  /// Puts a question to a person; nullopt when nobody answers. Default: that.
  virtual asio::awaitable<std::optional<std::string>> on_question(UserQuestion question);
};

/// What sessions are made of; everything outlives them.
struct Services {
  memory::Store& store;
  sandbox::Sandbox& sandbox;
  asio::thread_pool& workers;
  const Clock& clock;
  Log log;
};

struct SessionSetup {
  std::filesystem::path repository;  ///< absolute
  sandbox::Policy policy;            ///< for its tools; the repository becomes the writable root
  AgentConfig agent;
  ApprovalMode approval = ApprovalMode::ask;
  std::set<std::string> always_allowed;  ///< tools that a person allowed here for good
  TurnLimits limits;
  /// What protection the user has done without, one sentence each; logged, and again when a session
  /// goes on under others.
  std::vector<std::string> opt_outs;
  Json record = Json::object();  ///< further facts for session.started: versions
  bool checkpoints = true;       ///< keep the files before each call that may change them
};

struct TurnResult {
  std::string status;  ///< "finished", "failed", "interrupted", "limit"
  std::string reason;  ///< why, when it is not finished: one sentence
  std::string text;    ///< the model's last words
  Usage usage;
  std::vector<std::string> files_changed;
  std::chrono::milliseconds wall{0};
};

/// What becomes of a turn that the program's stop broke off, when its session is taken over.
enum class BrokenTurn { ended, kept };

/// One conversation of an agent, owned by this process. One turn at a time. Lives on the loop's
/// thread.
class Session {
 public:
  /// A fresh session. `provider` and `registry` outlive it. invalid_input when the path of the
  /// repository is not UTF-8: the log could not hold it.
  static asio::awaitable<Result<std::unique_ptr<Session>>> create(Services services,
                                                                  SessionSetup setup,
                                                                  Provider& provider,
                                                                  const tools::Registry& registry,
                                                                  std::string title);

  /// Takes over an existing session: rebuilds its history from the log; a tool call that a crash
  /// left without outcome gets one, which the model and the person are told: "unknown" if it may
  /// have run, else "cancelled". The turn that it broke off is ended, or kept open for
  /// continue_turn(), together with its calls that have not run.
  static asio::awaitable<Result<std::unique_ptr<Session>>> resume(
      Services services, SessionSetup setup, Provider& provider, const tools::Registry& registry,
      std::string id, BrokenTurn broken);
  virtual ~Session() = default;

  virtual const std::string& id() const = 0;

  /// Goal, todos, decisions and notes as the log has them.
  virtual const memory::TaskState& tasks() const = 0;

  /// Watches the session until the observer is removed. `observer` is borrowed.
  virtual void add_observer(Observer& observer) = 0;
  virtual void remove_observer(Observer& observer) = 0;

  /// From a prompt to the end of the answer. The log tells the whole story, whatever the result.
  /// Errors are those of the log itself (then nothing more can be recorded): exhausted, io,
  /// corrupt. Denied when a turn is already running. Cancelling the coroutine ends the turn as
  /// "interrupted".
  virtual asio::awaitable<Result<TurnResult>> run_turn(std::string prompt) = 0;

  /// The same without a prompt: the newest turn goes on where it was broken off, interrupted,
  /// failed or limited, as if it had not been: calls that had not run are run, and the model is
  /// asked what it would have been asked. After a limit its bounds count from here. Further errors:
  /// denied when the model has had its last word, so that there is nothing to go on with.
  virtual asio::awaitable<Result<TurnResult>> continue_turn() = 0;

  /// Ends the running turn with status "interrupted" and this reason; nothing if none runs.
  virtual void interrupt(std::string reason) = 0;

  /// From the next turn on, these tools, which outlive the session or the next such call; between
  /// turns. The agent's offers must fit them (offered_tools). `notice` is what people should know
  /// of them, or empty.
  virtual void use_tools(const tools::Registry& registry, std::string notice) = 0;

  /// Ends what tools left running in the background; between turns. Must have completed before
  /// destruction if a turn ran.
  virtual asio::awaitable<void> close() = 0;
};

// ---------------------------------------------------------------- reading a log

/// What protection the user does without from this event on, if that is what it tells
/// ("session.started", "opt_outs.changed").
std::optional<std::vector<std::string>> opt_outs_from(const memory::Event& event);

/// The conversation as the model sees it, rebuilt from all events in order: a pure function.
Result<std::vector<Message>> messages_from(const std::vector<memory::Event>& events);

// ---------------------------------------------------------------- what a session begins with

/// The system message: the agent's prompt, where it works, the repository's own instructions.
/// Blocking: call it on a worker.
std::string system_message(const AgentConfig& agent, const std::filesystem::path& repository);

/// The tools of the registry that the agent names (all when it names none), in the registry's
/// order, in the agent's own words where it has some. Errors (invalid_input): an offer that names
/// an unknown parameter or leaves out a required one.
Result<std::vector<OfferedTool>> offered_tools(const tools::Registry& registry,
                                               const AgentConfig& agent);

}  // namespace sable::agent
