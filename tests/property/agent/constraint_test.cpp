// Whatever a model with this mask samples, a call parses and fits its schema.
#include <random>

#include <catch2/catch.hpp>

#include "agent/constraint/reply_mask.h"
#include "agent/dsml/reply_parser.h"
#include "tests/support/chat_tokenizer.h"
#include "tests/support/random_schema.h"
#include "tools/schema.h"

using namespace sable;
using namespace sable::agent;
using inference::TokenId;

namespace {

const inference::Tokenizer& tokenizer() {
  static const auto made =
      test::chat_tokenizer({"\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"",
                            "</｜DSML｜parameter>\n", "</｜DSML｜invoke>\n", "\": "});
  return made;
}

/// Structure comes often enough for calls to end; every other token comes at random.
double weight(const TokenSymbols& symbols, TokenId id) {
  const auto s = symbols.of(id);
  if (s.back() >= kDsmlSymbol) return 300;
  if (s.size() > 1) return s.front() == '<' ? 100 : 2;
  switch (s.front()) {
    case '<':
    case '/':
      return 40;
    case '"':
    case ']':
    case '}':
      return 30;
    default:
      return 1;
  }
}

bool bit(const std::vector<uint64_t>& words, size_t i) {
  return (words[i / 64] >> i % 64 & 1) != 0;
}

/// Samples until the end token or the limit; checks the mask against itself on the way.
std::vector<TokenId> sample(ReplyMask& mask, const MaskVocabulary& vocabulary,
                            std::mt19937& random) {
  std::vector<TokenId> ids;
  std::vector<uint64_t> allowed(vocabulary.n_words()), again(vocabulary.n_words());
  const size_t n = vocabulary.symbols().n_ids();
  const auto uniform = [&](size_t below) {
    return std::uniform_int_distribution<size_t>(0, below - 1)(random);
  };
  while (ids.size() < 4000) {
    mask.fill_allowed(allowed);
    std::vector<TokenId> choices;
    std::vector<double> weights;
    for (size_t i = 0; i < n; ++i) {
      if (!bit(allowed, i)) continue;
      choices.push_back(static_cast<TokenId>(i));
      weights.push_back(weight(vocabulary.symbols(), choices.back()));
    }
    INFO(*tokenizer().decode(ids));
    REQUIRE_FALSE(choices.empty());
    const TokenId id =
        choices[std::discrete_distribution<size_t>(weights.begin(), weights.end())(random)];
    if (uniform(20) == 0) {
      // The bits are what accept() says, and a copy and the way back change nothing.
      const auto other = static_cast<TokenId>(uniform(n));
      const auto copy = mask.clone();
      CHECK(copy->accept(other) == bit(allowed, static_cast<size_t>(other)));
      CHECK(mask.accept(id));
      mask.roll_back(1);
      mask.fill_allowed(again);
      CHECK(again == allowed);
    }
    REQUIRE(mask.accept(id));
    ids.push_back(id);
    if (id == *tokenizer().eos()) break;
  }
  return ids;
}

void check_schemas(unsigned seed, int n_rounds, int depth) {
  std::mt19937 random(seed);
  const auto vocabulary = *MaskVocabulary::create(tokenizer());
  int n_ended = 0, n_possible = 0, n_calls = 0;
  for (int round = 0; round < n_rounds; ++round) {
    std::vector<OfferedTool> tools;
    for (const char* name : {"find", "find_all", "x"}) {
      tools.push_back({name, "", test::random_parameters(random, depth)});
    }
    const auto grammar = CallGrammar::compile(tools);
    if (grammar->tools().empty()) continue;
    ++n_possible;
    const bool thinking = round % 2 == 0;
    std::string shown;
    for (const auto& tool : tools) shown += tool.name + " " + dump_json(tool.parameters) + "\n";
    INFO(shown);
    ReplyMask mask(vocabulary, grammar, thinking, CallChoice::must);
    const auto ids = sample(mask, *vocabulary, random);
    ReplyParser parser(thinking, {});
    for (const auto id : ids) parser.push(vocabulary->symbols().of(id));
    const auto result = parser.finish();
    n_ended += result.ended;
    if (result.ended) CHECK_FALSE(result.calls.empty());
    for (const auto& call : result.calls) {
      ++n_calls;
      INFO(*tokenizer().decode(ids));
      CHECK(call.problem.empty());
      const auto tool = std::find_if(tools.begin(), tools.end(),
                                     [&](const auto& t) { return t.name == call.name; });
      REQUIRE(tool != tools.end());
      INFO(dump_json(tool->parameters) << "\n" << call.arguments);
      const auto arguments = parse_json(call.arguments);
      REQUIRE(arguments);
      const auto schema = tools::Schema::compile(tool->parameters);
      REQUIRE(schema);
      const auto violations = schema->check(*arguments);
      INFO(tools::describe(violations, *schema));
      CHECK(violations.empty());
    }
  }
  CHECK(n_possible > n_rounds * 9 / 10);
  CHECK(n_ended > n_possible * 8 / 10);
  CHECK(n_calls >= n_ended);
}

}  // namespace

TEST_CASE("random schemas, random sampling: every call parses and fits its schema") {
  check_schemas(1, 60, 2);
}

TEST_CASE("many random schemas, nested deeper", "[slow]") { check_schemas(2, 1500, 4); }
