// One token stream: appending, forking, cutting.
#include <utility>

#include "inference/engine/engine_state.h"

namespace sable::inference {

Sequence::Sequence(std::unique_ptr<State> state) : state_(std::move(state)) {}
Sequence::~Sequence() = default;

Result<void> Sequence::append(std::span<const TokenId> ids) {
  State& s = *state_;
  const int64_t n_vocab = s.engine->model->config().vocab_size;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= n_vocab) {
      return fail(ErrorCode::invalid_input,
                  "token " + std::to_string(i) + ": id " + std::to_string(ids[i]) +
                      " is not in the vocabulary of " + std::to_string(n_vocab));
    }
  }
  const uint64_t room = s.engine->options.context_max - s.tokens.size();
  if (ids.size() > room) {
    return fail(ErrorCode::exhausted,
                "the context may have " + std::to_string(s.engine->options.context_max) +
                    " tokens; " + std::to_string(ids.size()) + " more than the " +
                    std::to_string(s.tokens.size()) + " it has do not fit");
  }
  if (!ids.empty()) s.logits.clear();
  s.tokens.insert(s.tokens.end(), ids.begin(), ids.end());
  return {};
}

std::span<const TokenId> Sequence::tokens() const { return state_->tokens; }
uint64_t Sequence::position() const { return state_->caches.position(); }
std::span<const float> Sequence::logits() const { return state_->logits; }
uint64_t Sequence::cache_bytes() const { return state_->caches.bytes(); }

void Sequence::on_logits(std::function<void(uint64_t, std::span<const float>)> sink) {
  state_->on_logits = std::move(sink);
}

std::unique_ptr<Sequence> Sequence::fork() const {
  auto copy = std::make_unique<State>(*state_);
  copy->on_logits = nullptr;
  return std::unique_ptr<Sequence>(new Sequence(std::move(copy)));
}

Result<void> Sequence::truncate(uint64_t n) {
  State& s = *state_;
  if (n > s.tokens.size()) {
    return fail(ErrorCode::invalid_input, "cannot cut to " + std::to_string(n) +
                                              " tokens: there are " +
                                              std::to_string(s.tokens.size()));
  }
  if (n == s.tokens.size()) return {};
  s.tokens.resize(n);
  s.logits.clear();
  if (n > s.caches.position()) return {};
  // Back to a recorded position before the last token that is left, which gives the logits again.
  const SequenceState* const point = n == 0 ? nullptr : s.points.at_or_before(n - 1);
  s.caches.rewind_to(point != nullptr ? *point : SequenceState(s.caches.layout()));
  s.points.truncate(s.caches.position());
  return {};
}

}  // namespace sable::inference
