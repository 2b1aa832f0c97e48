// A model's reply read token by token: thought, answer, tool calls.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/dsml/symbols.h"
#include "agent/provider.h"

namespace sable::agent {

/// Reads the symbols of a reply in DSML form (DeepSeek-V4's encoding_dsv4.py) as they come and
/// hands out deltas of whole characters. However the reply is cut into pieces, the joined deltas
/// and the result are the same.
///
/// Lenient with white space between tags and with text behind the last one. A call that breaks the
/// form otherwise keeps the name that it has so far and says in `problem` what is wrong; what comes
/// behind it is lost. A marker out of its place is text.
class ReplyParser {
 public:
  /// `thinking`: the reply begins inside a thought. `on_delta` may be empty.
  ReplyParser(bool thinking, DeltaSink on_delta);

  void push(std::span<const Symbol> symbols);

  struct Result {
    std::string text, reasoning;
    std::vector<RequestedCall> calls;  ///< without ids
    bool ended = false;                ///< the end token came
    bool cut_call = false;             ///< a call was left out because it was not complete
  };
  /// The end of the reply. A call that is not complete counts only when the model itself ended it.
  Result finish();

 private:
  enum class State {
    thought,
    content,
    block_open,      // behind "<｜DSML｜": expects "tool_calls>"
    between_calls,   // white space, then a tag
    call_open,       // expects "invoke name=\"...\">"
    between_values,  // white space, then a tag
    value_open,      // expects "parameter name=\"...\" string=\"...\">"
    value,
    value_close,  // expects "parameter>"
    call_close,   // expects "invoke>"
    block_close,  // expects "tool_calls>"
    behind,
    broken,
  };

  void flush_bytes();
  void text(std::string_view characters);
  void character_of_tag(char c);
  void character_of_content(char c);
  void character_of_value(char c);
  void marker(Symbol symbol);
  void dsml();
  void tag_begins(State open, State close);
  void tag_text(std::string_view expected, State next);
  void begin_call();
  void begin_value();
  void end_value();
  void add_arguments(std::string_view json);
  void value_text(std::string_view characters);
  void break_call(std::string why);

  void emit_text(std::string_view characters);
  void emit_reasoning(std::string_view characters);
  void emit(Delta delta);
  void flush_pending();

  DeltaSink on_delta_;
  State state_;
  Result result_;
  std::string bytes_;            // the start of a character
  std::string held_;             // of content or value: what may belong to the tag behind it
  std::string tag_;              // of a tag: what came since its marker, or since the tag before
  std::set<std::string> names_;  // parameters of the call
  bool value_is_text_ = false;
  bool in_call_ = false;
  std::string pending_;  // characters of one kind, not yet handed out
  State pending_state_ = State::content;
};

}  // namespace sable::agent
