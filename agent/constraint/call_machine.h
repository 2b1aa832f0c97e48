// Where a reply stands within the grammar of calls: all ways at once in which it can be read.
#pragma once

#include <memory>
#include <vector>

#include "agent/constraint/call_grammar.h"

namespace sable::agent {

/// One level of an unfinished call.
struct Frame {
  enum class Kind : uint8_t {
    literal,    ///< fixed symbols: a which, b how many have come
    trie,       ///< one of several strings: a which trie, b node, mask the groups that count
    raw_text,   ///< a parameter's text up to its closing tag: a rule, b what of "</" has come
    json_text,  ///< a JSON string behind its quote: a rule, b place in an escape
    number,     ///< a rule; n its digits, b how many
    block,      ///< between calls: flag whether there was one
    call,       ///< a tool, mask the parameters so far
    value,      ///< about to begin: a rule, flag whether texts are left out
    array,      ///< a rule, n items
    object,     ///< a rule, mask the properties so far, n their number
    done,
  };
  Kind kind = Kind::done;
  uint8_t flag = 0;
  uint8_t utf8 = 0;   ///< place inside a character
  uint8_t depth = 0;  ///< levels of nesting that are left
  uint32_t a = 0, b = 0;
  uint64_t n = 0, mask = 0;

  friend bool operator==(const Frame&, const Frame&) = default;
};

/// One way to read what has come: the innermost level and, shared with other ways, those around it.
struct Thread {
  struct Outer {
    Frame frame;
    std::shared_ptr<const Outer> outer;
  };
  Frame top;
  std::shared_ptr<const Outer> outer;

  /// Level by level.
  friend bool operator==(const Thread& a, const Thread& b);
};
using Threads = std::vector<Thread>;

/// Steps through calls. Pure; the grammar outlives it.
class CallMachine {
 public:
  explicit CallMachine(const CallGrammar& grammar) : grammar_(grammar) {}

  /// Behind "\n\n<｜DSML｜" of a reply, or (`from_content`) before it.
  Threads begin(bool from_content) const;

  /// The ways to go on from `thread` with this symbol, added to `out`; none when there is none.
  void advance(const Thread& thread, Symbol symbol, Threads& out) const;

  /// What advances from all of them, each way once.
  Threads advance(const Threads& threads, Symbol symbol) const;

 private:
  using Outer = std::shared_ptr<const Thread::Outer>;

  void complete(const Outer& outer, int payload, Threads& out) const;
  void expand_block(const Frame& frame, const Outer& outer, int payload, Threads& out) const;
  void expand_call(const Frame& frame, const Outer& outer, Threads& out) const;
  void begin_parameter(const Frame& call, const Outer& outer, int payload, Threads& out) const;
  void expand_value(const Frame& frame, const Outer& outer, Threads& out, int n_hops = 0) const;
  void expand_raw(RuleIndex index, const Outer& outer, Threads& out, int n_hops = 0) const;
  void expand_array(const Frame& frame, const Outer& outer, Threads& out) const;
  void expand_object(const Frame& frame, const Outer& outer, int payload, Threads& out) const;

  void literal(const Thread& thread, Symbol symbol, Threads& out) const;
  void trie(const Thread& thread, Symbol symbol, Threads& out) const;
  void raw_text(const Thread& thread, Symbol symbol, Threads& out) const;
  void json_text(const Thread& thread, Symbol symbol, Threads& out) const;
  void number(const Thread& thread, Symbol symbol, Threads& out) const;
  const SymbolTrie& trie_of(const Frame& frame) const;

  const CallGrammar& grammar_;
};

/// The place inside a character after one more byte (0: none); kIllFormed when it may not come.
/// Unicode 15, table 3-7.
uint8_t next_utf8(uint8_t place, uint8_t byte);
inline constexpr uint8_t kIllFormed = 255;
inline constexpr uint8_t kUtf8Places = 8;

}  // namespace sable::agent
