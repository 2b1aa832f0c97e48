// Which tokens may come next in a reply: any text, but every call in form and fitting its schema.
#pragma once

#include <memory>
#include <vector>

#include "agent/constraint/call_machine.h"
#include "agent/constraint/mask_vocabulary.h"
#include "inference/inference.h"

namespace sable::agent {

/// Whether a reply calls tools.
enum class CallChoice {
  free,  ///< if the model wants
  none,  ///< never
  must,  ///< it is calls and nothing else, behind the thought
};

/// Thoughts and answers stay free text. A thought ends before the reply does; the marker of calls
/// comes only behind "\n\n<"; a call is one that the grammar allows; behind the calls the reply
/// ends. As long as the reply has not ended some token is allowed.
class ReplyMask final : public inference::TokenMask {
 public:
  ReplyMask(std::shared_ptr<const MaskVocabulary> vocabulary,
            std::shared_ptr<const CallGrammar> grammar, bool thinking,
            CallChoice choice = CallChoice::free);

  void fill_allowed(std::span<uint64_t> allowed) const override;
  bool accept(inference::TokenId token) override;
  void roll_back(size_t n) override;
  std::unique_ptr<inference::TokenMask> clone() const override;

  /// Whether the last token was inside a call.
  bool in_call() const { return now().region == Region::calls; }

 private:
  enum class Region : uint8_t { thought, content, calls, behind, ended };
  struct State {
    Region region = Region::content;
    uint8_t matched = 0;  ///< of "\n\n<" at the end of the content
    Threads threads;      ///< in calls
  };

  const State& now() const { return states_.back(); }
  bool advance(State& state, Symbol symbol) const;
  void enter_content(State& state) const;
  void fill_calls(std::span<uint64_t> allowed) const;
  void fill_thread(const Thread& thread, std::span<uint64_t> allowed) const;
  void walk(const MaskVocabulary::Tree& tree, uint32_t node, const Threads& threads,
            std::span<uint64_t> allowed) const;

  std::shared_ptr<const MaskVocabulary> vocabulary_;
  std::shared_ptr<const CallGrammar> grammar_;
  CallMachine machine_;
  CallChoice choice_;
  std::vector<State> states_;  ///< behind each accepted token; the first before any
};

}  // namespace sable::agent
