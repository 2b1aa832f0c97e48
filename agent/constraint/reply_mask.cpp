#include "agent/constraint/reply_mask.h"

#include <algorithm>

#include "base/check.h"

namespace sable::agent {

namespace {

void set(std::span<uint64_t> words, inference::TokenId id) {
  const auto i = static_cast<size_t>(id);
  if (i / 64 < words.size()) words[i / 64] |= uint64_t{1} << (i % 64);
}

void add(const MaskWords& from, std::span<uint64_t> to) {
  const size_t n = std::min(from.size(), to.size());
  for (size_t i = 0; i < n; ++i) to[i] |= from[i];
}

}  // namespace

ReplyMask::ReplyMask(std::shared_ptr<const MaskVocabulary> vocabulary,
                     std::shared_ptr<const CallGrammar> grammar, bool thinking, CallChoice choice)
    : vocabulary_(std::move(vocabulary)),
      grammar_(std::move(grammar)),
      machine_(*grammar_),
      choice_(grammar_->tools().empty() ? CallChoice::none : choice) {
  State first;
  if (thinking) {
    first.region = Region::thought;
  } else {
    enter_content(first);
  }
  states_.push_back(std::move(first));
}

void ReplyMask::enter_content(State& state) const {
  state.region = choice_ == CallChoice::must ? Region::calls : Region::content;
  if (choice_ == CallChoice::must) state.threads = machine_.begin(true);
}

bool ReplyMask::advance(State& state, Symbol symbol) const {
  switch (state.region) {
    case Region::thought:
      if (symbol == kThinkEndSymbol) enter_content(state);
      return symbol < kDsmlSymbol || symbol == kThinkEndSymbol;
    case Region::content:
      if (symbol == kDsmlSymbol) {
        if (state.matched != 3 || choice_ == CallChoice::none) return false;
        state.region = Region::calls;
        state.threads = machine_.begin(false);
        return true;
      }
      if (symbol == kEndSymbol) {
        state.region = Region::ended;
        return true;
      }
      if (symbol >= kDsmlSymbol) return false;
      if (symbol == '\n') {
        state.matched = state.matched == 1 || state.matched == 2 ? 2 : 1;
      } else {
        state.matched = symbol == '<' && state.matched == 2 ? 3 : 0;
      }
      return true;
    case Region::calls:
      state.threads = machine_.advance(state.threads, symbol);
      if (state.threads.empty()) return false;
      for (const auto& thread : state.threads) {
        if (thread.top.kind == Frame::Kind::done) {
          state.region = Region::behind;
          state.threads.clear();
          return true;
        }
      }
      return true;
    case Region::behind:
      if (symbol == kEndSymbol) state.region = Region::ended;
      return symbol == kEndSymbol;
    case Region::ended:
      break;
  }
  return false;
}

bool ReplyMask::accept(inference::TokenId token) {
  const auto symbols = vocabulary_->symbols().of(token);
  if (symbols.empty()) return false;
  State next = now();
  for (const Symbol symbol : symbols) {
    if (!advance(next, symbol)) return false;
  }
  states_.push_back(std::move(next));
  return true;
}

void ReplyMask::roll_back(size_t n) {
  SABLE_CHECK(n < states_.size());
  states_.resize(states_.size() - n);
}

std::unique_ptr<inference::TokenMask> ReplyMask::clone() const {
  return std::make_unique<ReplyMask>(*this);
}

void ReplyMask::fill_allowed(std::span<uint64_t> allowed) const {
  std::fill(allowed.begin(), allowed.end(), 0);
  const State& state = now();
  switch (state.region) {
    case Region::thought:
    case Region::content:
      add(vocabulary_->text(), allowed);
      break;
    case Region::calls:
      fill_calls(allowed);
      break;
    default:
      break;
  }
  for (const auto token : vocabulary_->marked()) {
    State next = state;
    bool fits = true;
    for (const Symbol symbol : vocabulary_->symbols().of(token)) {
      fits = fits && advance(next, symbol);
    }
    if (fits) set(allowed, token);
  }
}

void ReplyMask::fill_calls(std::span<uint64_t> allowed) const {
  for (const auto& thread : now().threads) fill_thread(thread, allowed);
}

/// Texts far from their longest length take nearly every token: those answers are ready.
void ReplyMask::fill_thread(const Thread& thread, std::span<uint64_t> allowed) const {
  const Frame& top = thread.top;
  const bool is_raw = top.kind == Frame::Kind::raw_text;
  const bool is_json = top.kind == Frame::Kind::json_text && top.b == 0 && top.utf8 == 0;
  if (is_raw || is_json) {
    const bool any = is_json && top.flag != 0;
    const uint64_t longest = any ? Rule::kUnbounded : grammar_->rule(top.a).texts[0].length_max;
    if (top.n + vocabulary_->longest_token() <= longest) {
      add(is_raw ? vocabulary_->utf8(top.utf8) : vocabulary_->json_text(), allowed);
      if (is_json) walk(vocabulary_->quoted(), 0, {thread}, allowed);
      return;
    }
  }
  walk(vocabulary_->all(), 0, {thread}, allowed);
}

void ReplyMask::walk(const MaskVocabulary::Tree& tree, uint32_t node, const Threads& threads,
                     std::span<uint64_t> allowed) const {
  const auto& at = tree.nodes[node];
  for (uint32_t i = 0; i < at.n_children; ++i) {
    const auto& child = tree.nodes[at.first_child + i];
    const Threads next = machine_.advance(threads, child.byte);
    if (next.empty()) continue;
    for (uint32_t t = 0; t < child.n_tokens; ++t) set(allowed, tree.tokens[child.first_token + t]);
    walk(tree, at.first_child + i, next, allowed);
  }
}

}  // namespace sable::agent
