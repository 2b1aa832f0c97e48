// Token sequences to learn from: encoded episodes, and copy problems made up on the spot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace sable::training {

/// One conversation as the model sees it.
struct Sequence {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> by_model;  ///< for each token: the model is to write it
  uint32_t family = 0;            ///< index into Dataset::families
};

struct Dataset {
  std::vector<Sequence> sequences;
  std::vector<std::string> families;
};

/// Ids that copy problems are made with.
struct CopyTokens {
  int32_t begin, user, assistant, think_end, end, newline;
  std::vector<int32_t> words;  ///< ordinary tokens to repeat
};

/// Tokens that stand for words of names and what may stand in their place, by case.
struct NameTokens {
  /// One way to write letters: what begins a word, what goes on with it.
  struct Case {
    std::vector<int32_t> words, first, next;
  };
  Case lower, capital, upper;
};

/// The sequence with other names: each word of a name becomes another word, or a few pieces that
/// make none, the same wherever it stands. A model that sees every name once cannot know names by
/// heart and has to look them up.
Sequence with_other_names(const Sequence& sequence, const NameTokens& names, Random& random);

/// Several problems in one sequence: a run of random tokens to repeat, or a few lines of them of
/// which one is to be continued from its first tokens. They teach to look back for what stood there
/// before, which every task needs.
Sequence copy_problems(const CopyTokens& tokens, size_t n_problems, Random& random);

/// Up to 220 lines (some 2,000 tokens), and eight of them to be continued: what is learned on short
/// texts alone holds for short texts alone.
Sequence long_copy_problem(const CopyTokens& tokens, Random& random);

/// How much each prediction counts: 1 for the model's own tokens, `others` for the rest from the
/// first user message on, 0 before it.
std::vector<float> weights_of(const Sequence& sequence, int32_t user_token, float others);

}  // namespace sable::training
