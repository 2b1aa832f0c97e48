// What constrained decoding costs: the vocabulary once for a model, the grammar once for a set of
// tools, the mask once for a token.
//   constraint_bench [--smoke] [--json]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>

#include "agent/constraint/reply_mask.h"
#include "tests/support/chat_tokenizer.h"
#include "tools/tools.h"

using namespace sable;
using namespace sable::agent;

namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// Like words of code: letters with a blank in front, punctuation in runs, quotes and lines.
std::vector<std::string> random_pieces(size_t n) {
  std::mt19937 random(3);
  const auto pick = [&](size_t below) {
    return std::uniform_int_distribution<size_t>(0, below - 1)(random);
  };
  const std::string letters = "etaoinshrdlucmfwypvbgkjqxz_ETAOINSHR0123456789";
  const std::string signs = "(){}[]<>=+-*/\"'\\,.;:!&|#\n\t ";
  std::vector<std::string> pieces;
  while (pieces.size() < n) {
    std::string piece = pick(2) == 0 ? " " : "";
    const bool word = pick(6) != 0;
    for (size_t length = 2 + pick(word ? 9 : 4); length > 0; --length) {
      piece += word ? letters[pick(letters.size())] : signs[pick(signs.size())];
    }
    if (pick(12) == 0) piece += "é世";
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

struct Row {
  std::string what;
  size_t n_vocab;
  double ms_median, ms_worst;
};

template <class Work>
Row measured(std::string what, size_t n_vocab, int rounds, Work work) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = Clock::now();
    work();
    times.push_back(milliseconds(Clock::now() - begin));
  }
  std::sort(times.begin(), times.end());
  return {std::move(what), n_vocab, times[times.size() / 2], times.back()};
}

void measure(size_t n_pieces, int rounds, std::vector<Row>& rows) {
  const auto tokenizer = test::chat_tokenizer({}, random_pieces(n_pieces));
  const size_t n = tokenizer.vocab_size();
  std::shared_ptr<const MaskVocabulary> vocabulary;
  rows.push_back(measured("vocabulary", n, std::max(1, rounds / 10),
                          [&] { vocabulary = *MaskVocabulary::create(tokenizer); }));
  std::vector<OfferedTool> tools;
  const auto registry = tools::Registry::with_builtins();
  for (const auto* tool : registry.list()) tools.push_back({tool->name, "", tool->parameters});
  tools.push_back(
      {"nested", "",
       Json::parse(
           R"({"type":"object","properties":{"list":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"n":{"type":"integer"}}}}}})")});
  std::shared_ptr<const CallGrammar> grammar;
  rows.push_back(
      measured("grammar of 7 tools", n, rounds, [&] { grammar = CallGrammar::compile(tools); }));

  std::vector<uint64_t> allowed(vocabulary->n_words());
  const std::string call = "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"";
  const std::pair<const char*, std::string> places[] = {
      {"free text", "some text"},
      {"tool name", call},
      {"parameter name", call + "edit_file\">\n<｜DSML｜parameter name=\""},
      {"text value",
       call + "edit_file\">\n<｜DSML｜parameter name=\"old_text\" string=\"true\">int"},
      {"text near its longest", call +
                                    "search\">\n<｜DSML｜parameter name=\"glob\" string=\"true\">" +
                                    std::string(505, 'a')},
      {"number", call + "read_file\">\n<｜DSML｜parameter name=\"end_line\" string=\"false\">1"},
      {"text inside JSON",
       call + "nested\">\n<｜DSML｜parameter name=\"list\" string=\"false\">[{\"name\": \"a"}};
  for (const auto& [name, text] : places) {
    ReplyMask mask(vocabulary, grammar, false);
    const auto ids = tokenizer.encode(text, inference::AddedTokens::recognise);
    for (const auto id : *ids) {
      if (!mask.accept(id)) std::fprintf(stderr, "%s: not accepted\n", name);
    }
    rows.push_back(
        measured(std::string("mask: ") + name, n, rounds, [&] { mask.fill_allowed(allowed); }));
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool smoke = false, json = false;
  for (int i = 1; i < argc; ++i) {
    smoke = smoke || std::strcmp(argv[i], "--smoke") == 0;
    json = json || std::strcmp(argv[i], "--json") == 0;
  }
  std::vector<Row> rows;
  measure(1800, smoke ? 3 : 200, rows);
  if (!smoke) measure(128'900, 50, rows);
  for (const auto& row : rows) {
    if (json) {
      std::printf("%s\n", dump_json(Json{{"what", row.what},
                                         {"n_vocab", row.n_vocab},
                                         {"ms_median", row.ms_median},
                                         {"ms_worst", row.ms_worst}})
                              .c_str());
    } else {
      std::printf("%-30s vocabulary %6zu  median %9.4f ms  worst %9.4f ms\n", row.what.c_str(),
                  row.n_vocab, row.ms_median, row.ms_worst);
    }
  }
  return 0;
}
