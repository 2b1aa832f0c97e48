// recall_bench: how much of what a model has read it finds again, by the length of what it read.
//
// The text is lines of random words; then come the first two words of one of them, and the model is
// to write the others. Lines lie at equal distances over the whole length. It is what the embedded
// model practises on a few lines (docs/training.md, copy problems), asked of far longer texts.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "base/random.h"
#include "inference/inference.h"

using namespace sable;
using namespace sable::inference;

namespace {

constexpr const char* kHelp =
    "recall_bench --model PATH [--length TOKENS]... [--trials N] [--seed N] [--json]\n"
    "recall_bench --help\n";

struct Options {
  std::string model;
  std::vector<size_t> lengths;
  size_t trials = 20;
  uint64_t seed = 1;
  bool json = false;
};

[[noreturn]] void die(const std::string& message) {
  fmt::print(stderr, "recall_bench: {}\n", message);
  std::exit(1);
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&] {
      if (i + 1 >= argc) die(name + " needs a value");
      return std::string(argv[++i]);
    };
    if (name == "--model") {
      o.model = value();
    } else if (name == "--length") {
      o.lengths.push_back(std::strtoul(value().c_str(), nullptr, 10));
    } else if (name == "--trials") {
      o.trials = std::strtoul(value().c_str(), nullptr, 10);
    } else if (name == "--seed") {
      o.seed = std::strtoul(value().c_str(), nullptr, 10);
    } else if (name == "--json") {
      o.json = true;
    } else if (name == "--help") {
      fmt::print("{}", kHelp);
      std::exit(0);
    } else {
      die("unknown option " + name + "\n" + kHelp);
    }
  }
  if (o.model.empty()) die(std::string("--model is needed\n") + kHelp);
  if (o.lengths.empty()) o.lengths = {512, 1024, 2048, 4096, 8192, 16384, 32768};
  return o;
}

struct Words {
  TokenId begin, user, assistant, think_end, newline;
  std::vector<TokenId> words;  ///< of lower-case letters, two or more
};

Words words_of(const Tokenizer& tokenizer) {
  const auto id = [&](const char* text) {
    const auto found = tokenizer.id_of(text);
    if (!found) die(fmt::format("this model has no token {}", text));
    return *found;
  };
  Words w{id("<｜begin▁of▁sentence｜>"),
          id("<｜User｜>"),
          id("<｜Assistant｜>"),
          id("</think>"),
          id("\n"),
          {}};
  for (size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto token = static_cast<TokenId>(i);
    if (!tokenizer.has(token) || tokenizer.is_added(token)) continue;
    const auto bytes = tokenizer.token_bytes(token);
    if (!bytes || bytes->size() < 2 || bytes->size() > 12) continue;
    const bool word = std::all_of(bytes->begin(), bytes->end(), [](char c) {
      return std::islower(static_cast<unsigned char>(c)) != 0;
    });
    if (word) w.words.push_back(token);
  }
  if (w.words.size() < 50) die("this model has too few words for it");
  return w;
}

struct Recall {
  size_t n_tokens = 0, n_right = 0, n_lines = 0, n_whole = 0;
};

void until_done(Engine& engine, Sequence& sequence) {
  Sequence* const all[] = {&sequence};
  while (sequence.n_waiting() > 0) {
    if (const auto step = engine.step(all); !step) die(step.error().message);
  }
}

/// One text of `length` tokens, and the line at `place` (0: first, 1: last) asked for.
void ask(Engine& engine, const Words& words, size_t length, double place, Random& random,
         Recall& recall) {
  std::vector<std::vector<TokenId>> lines;
  std::vector<TokenId> text = {words.begin, words.user};
  while (text.size() < length) {
    std::vector<TokenId> line(random.between(5, 10));
    for (TokenId& token : line) token = random.pick(words.words);
    text.insert(text.end(), line.begin(), line.end());
    text.push_back(words.newline);
    lines.push_back(std::move(line));
  }
  const auto n = static_cast<double>(lines.size() - 1);
  const std::vector<TokenId>& line = lines[static_cast<size_t>(place * n)];
  text.insert(text.end(), line.begin(), line.begin() + 2);
  text.push_back(words.assistant);
  text.push_back(words.think_end);
  const auto sequence = engine.start();
  if (const auto put = sequence->append(text); !put) die(put.error().message);
  size_t n_right = 0;
  for (size_t i = 2; i < line.size(); ++i) {
    until_done(engine, *sequence);
    const auto logits = sequence->logits();
    const auto best =
        static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    n_right += best == line[i] ? 1 : 0;
    if (const auto put = sequence->append({&best, 1}); !put) die(put.error().message);
  }
  recall.n_tokens += line.size() - 2;
  recall.n_right += n_right;
  ++recall.n_lines;
  recall.n_whole += n_right == line.size() - 2 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const auto engine = Engine::open(options.model);
  if (!engine) die(engine.error().message);
  const auto& tokenizer = (*engine)->tokenizer();
  if (!tokenizer) die(tokenizer.error().message);
  const Words words = words_of(*tokenizer);
  if (!options.json) fmt::print("{:>8}  {:>12}  {:>12}\n", "tokens", "lines whole", "words right");
  for (const size_t length : options.lengths) {
    Random random(options.seed);
    Recall recall;
    for (size_t i = 0; i < options.trials; ++i) {
      const double place = options.trials > 1
                               ? static_cast<double>(i) / static_cast<double>(options.trials - 1)
                               : 0.5;
      ask(**engine, words, length, place, random, recall);
    }
    const double share = static_cast<double>(recall.n_right) / static_cast<double>(recall.n_tokens);
    if (options.json) {
      fmt::print("{}\n", dump_json(Json{{"length", length},
                                        {"lines", recall.n_lines},
                                        {"lines_whole", recall.n_whole},
                                        {"words_right", share}}));
    } else {
      fmt::print("{:>8}  {:>12}  {:>10.1f} %\n", length,
                 fmt::format("{}/{}", recall.n_whole, recall.n_lines), 100 * share);
    }
    std::fflush(stdout);
  }
}
