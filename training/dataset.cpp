#include "training/dataset.h"

#include <algorithm>
#include <unordered_map>

namespace sable::training {

namespace {

class ProblemWriter {
 public:
  ProblemWriter(const CopyTokens& tokens, Random& random) : tokens_(tokens), random_(random) {
    add(tokens.begin, false);
  }

  void repeat() {
    const std::vector<int32_t> run = words(random_.between(4, 40));
    add(tokens_.user, false);
    add(run, false);
    answer(run);
  }

  /// Lines, then questions: the beginning of a line, to be answered by the rest of it.
  void look_up(size_t n_lines, size_t n_questions) {
    std::vector<std::vector<int32_t>> lines;
    add(tokens_.user, false);
    for (size_t i = 0; i < n_lines; ++i) {
      lines.push_back(words(random_.between(4, 12)));
      add(lines.back(), false);
      add(tokens_.newline, false);
    }
    for (size_t i = 0; i < n_questions; ++i) {
      if (i > 0) add(tokens_.user, false);
      const std::vector<int32_t>& line = lines[random_.below(n_lines)];
      const auto n_given = static_cast<std::ptrdiff_t>(random_.between(1, 2));
      add({line.begin(), line.begin() + n_given}, false);
      answer({line.begin() + n_given, line.end()});
    }
  }

  Sequence take() { return std::move(sequence_); }

 private:
  std::vector<int32_t> words(size_t n) {
    std::vector<int32_t> run(n);
    for (int32_t& word : run) word = random_.pick(tokens_.words);
    return run;
  }
  void answer(const std::vector<int32_t>& run) {
    add(tokens_.assistant, false);
    add(tokens_.think_end, false);
    add(run, true);
    add(tokens_.end, true);
  }
  void add(const std::vector<int32_t>& run, bool by_model) {
    for (const int32_t token : run) add(token, by_model);
  }
  void add(int32_t token, bool by_model) {
    sequence_.tokens.push_back(token);
    sequence_.by_model.push_back(by_model ? 1 : 0);
  }

  const CopyTokens& tokens_;
  Random& random_;
  Sequence sequence_;
};

}  // namespace

Sequence copy_problems(const CopyTokens& tokens, size_t n_problems, Random& random) {
  ProblemWriter writer(tokens, random);
  for (size_t i = 0; i < n_problems; ++i) {
    if (random.chance(0.4)) {
      writer.repeat();
    } else {
      writer.look_up(random.chance(0.5) ? random.between(2, 8) : random.between(9, 48), 1);
    }
  }
  return writer.take();
}

Sequence long_copy_problem(const CopyTokens& tokens, Random& random) {
  ProblemWriter writer(tokens, random);
  writer.look_up(random.between(49, 220), 8);
  return writer.take();
}

Sequence with_other_names(const Sequence& sequence, const NameTokens& names, Random& random) {
  std::unordered_map<int32_t, std::vector<int32_t>> replacement;
  for (const NameTokens::Case* writing : {&names.lower, &names.capital, &names.upper}) {
    for (const int32_t word : writing->words) {
      std::vector<int32_t>& pieces = replacement[word];
      const double kind = random.unit();
      if (kind < 0.2) {
        pieces = {word};
      } else if (kind < 0.4) {
        pieces = {random.pick(writing->words)};
      } else {
        pieces = {random.pick(writing->first)};
        for (size_t more = random.below(4); more > 0; --more) {
          pieces.push_back(random.pick(writing->next));
        }
      }
    }
  }
  Sequence out{.family = sequence.family};
  for (size_t i = 0; i < sequence.tokens.size(); ++i) {
    const auto found = replacement.find(sequence.tokens[i]);
    if (found == replacement.end()) {
      out.tokens.push_back(sequence.tokens[i]);
      out.by_model.push_back(sequence.by_model[i]);
      continue;
    }
    for (const int32_t piece : found->second) {
      out.tokens.push_back(piece);
      out.by_model.push_back(sequence.by_model[i]);
    }
  }
  return out;
}

std::vector<float> weights_of(const Sequence& sequence, int32_t user_token, float others) {
  const size_t n = sequence.tokens.size();
  std::vector<float> weight(n, 0.0F);
  bool talking = false;
  for (size_t t = 0; t + 1 < n; ++t) {
    talking = talking || sequence.tokens[t] == user_token;
    weight[t] = sequence.by_model[t + 1] != 0 ? 1.0F : talking ? others : 0.0F;
  }
  return weight;
}

}  // namespace sable::training
