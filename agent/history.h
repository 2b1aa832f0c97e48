// A session's state, rebuilt from its events: a pure reduction without clock, input or chance.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/call_ids.h"
#include "agent/provider.h"
#include "memory/memory.h"

namespace sable::agent {

/// The newest turn as far as the log tells of it.
struct TurnSoFar {
  int n_steps = 0;       ///< whose reply is whole
  int n_tool_calls = 0;  ///< that have an outcome, but for those that never ran
  Usage usage;
  std::string text;                          ///< the model's last words
  FinishReason finish = FinishReason::stop;  ///< of its newest reply
  std::vector<std::string> files_changed;    ///< by tools that say so; in order, each once
};

/// What a session knows after its events. Feeding the same events gives the same state, bit for
/// bit.
class History {
 public:
  /// Takes the next event in order. Unknown types are skipped; corrupt when a known one lacks a
  /// field.
  Result<void> take(const memory::Event& event);

  const Transcript& messages() const { return messages_; }
  const std::vector<OfferedTool>& tools() const { return tools_; }
  int n_turns() const { return n_turns_; }
  bool turn_open() const { return turn_open_; }
  const TurnSoFar& turn() const { return turn_; }
  /// The number that the newest turn has when it goes on: its own, but a fresh one when later turns
  /// were taken back, so that nothing of those is met again.
  int continued_turn() const { return rewound_ ? n_turns_ + 1 : n_turns_; }
  /// Whether the newest turn lacks the model's last word, so that it can go on without a prompt.
  bool can_continue() const;
  bool knows_call(const std::string& id) const { return call_ids_.contains(id); }
  bool empty() const { return messages_.empty(); }

  /// Calls of the newest reply that have no outcome yet, in the model's order.
  std::vector<RequestedCall> open_calls() const;
  /// Whether an open call can have run: its "tool.started" is there, or would be if the log went on
  /// from where a fork or a repair cut it.
  bool may_have_run(const std::string& call_id) const { return cut_ || started_.contains(call_id); }

  /// Locators of outputs that were too long to be shown, in order.
  const std::vector<std::string>& kept_outputs() const { return kept_outputs_; }
  /// What people were last told about the tools.
  const std::string& tools_notice() const { return tools_notice_; }

  /// What protection the user does without, as the log has it.
  const std::vector<std::string>& opt_outs() const { return opt_outs_; }

  /// Goal, todos, decisions and notes.
  const memory::TaskState& tasks() const { return tasks_; }

  /// Tools that a person allowed for the rest of the session.
  const std::set<std::string>& allowed_for_session() const { return allowed_for_session_; }

 private:
  Result<void> take_turn(const Json& data, std::string_view type);
  Result<void> take_reply(const Json& data);
  Result<void> take_outcome(const Json& data);
  void take_rewind(const Json& data);

  Transcript messages_;
  std::vector<OfferedTool> tools_;
  std::string tools_notice_;
  std::vector<std::string> opt_outs_;
  std::vector<std::string> kept_outputs_;
  std::vector<RequestedCall> reply_calls_;
  std::set<std::string> started_;  ///< of the newest reply
  std::set<std::string> answered_;
  CallIds call_ids_;
  std::set<std::string> allowed_for_session_;
  memory::TaskState tasks_;
  TurnSoFar turn_;
  int n_turns_ = 0;
  bool turn_open_ = false;
  bool rewound_ = false;  ///< since the newest turn began or went on
  bool cut_ = false;  ///< behind the newest reply the log has lost events, or another one has more
};

}  // namespace sable::agent
