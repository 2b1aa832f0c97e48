// What the model learns from: names, wordings, tokenizer, and the teacher's own plays.
#include <catch2/catch.hpp>

#include "evaluation/evaluation.h"
#include "tests/support/temporary_folder.h"
#include "training/encode_episodes.h"
#include "training/tokenizer_training.h"

using namespace sable;
using namespace sable::evaluation;
using namespace sable::training;

TEST_CASE("a trained tokenizer keeps names apart from blanks and phrases whole") {
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) {
    texts.push_back("invoke name=\"search\">\n<");
    texts.push_back(
        "int read_buffer(int maxSize) { return maxSize - 12; }\nthe table of the reader");
  }
  const auto json =
      train_tokenizer(texts, {.vocab_size = 305, .phrases = {"invoke name=\"", "\">\n<"}});
  if (!json) FAIL(json.error().message);
  const auto tokenizer = inference::Tokenizer::from_json(*json);
  if (!tokenizer) FAIL(tokenizer.error().message);
  CHECK(tokenizer->vocab_size() == 305);
  const auto pieces = [&](const std::string& text) {
    std::vector<std::string> list;
    const auto ids = tokenizer->encode(text, inference::AddedTokens::as_text);
    for (const auto id : *ids) {
      list.emplace_back(*tokenizer->token_bytes(id));
    }
    return list;
  };
  CHECK(pieces("invoke name=\"search\">\n<") ==
        std::vector<std::string>{"invoke name=\"", "search", "\">\n<"});
  CHECK(pieces(" maxSize_12") == std::vector<std::string>{" ", "max", "Size", "_", "1", "2"});
  const std::string odd = "caf\xc3\xa9 \xff\n\n  x</";
  CHECK(*tokenizer->decode(*tokenizer->encode(odd, inference::AddedTokens::as_text)) == odd);
}

TEST_CASE("every task is played with the real tools, and mistakes are not learned") {
  const auto pack = AgentPack::read(std::string(SABLE_SOURCE_DIR) + "/configs");
  if (!pack) FAIL(pack.error().message);
  test::TemporaryFolder folder;
  auto sandbox = sandbox::Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
  if (!sandbox) FAIL(sandbox.error().message);
  auto bench = Workbench::open(folder / "work", std::move(*sandbox));
  if (!bench) FAIL(bench.error().message);
  std::vector<std::string> texts;
  std::vector<Episode> episodes;
  for (const TaskKind& kind : task_kinds()) {
    bool played = false;
    for (uint64_t seed = 0; seed < 30 && !played; ++seed) {
      Random random(seed);
      const MadeUpCode source;
      Stage stage(**bench, {Split::test, Split::training, source}, random);
      if (!kind.script(stage) || !stage.good()) continue;
      Episode episode =
          episode_of(stage.take(), std::string(kind.family), *pack, Split::test, random);
      const auto again = episode_from_json(*parse_json(dump_json(to_json(episode))));
      REQUIRE(again);
      CHECK(dump_json(to_json(*again)) == dump_json(to_json(episode)));
      const auto between = texts_between_tokens(episode, pack->texts);
      REQUIRE(between);
      texts.insert(texts.end(), between->begin(), between->end());
      episodes.push_back(std::move(episode));
      played = true;
    }
    INFO(kind.family);
    CHECK(played);
  }
  const auto json = train_tokenizer(texts, {.vocab_size = 512, .phrases = fixed_phrases(*pack)});
  if (!json) FAIL(json.error().message);
  const auto tokenizer = inference::Tokenizer::from_json(*json);
  if (!tokenizer) FAIL(tokenizer.error().message);
  for (Episode& episode : episodes) {
    episode.mistakes.clear();
    const auto all = encode(episode, pack->texts, *tokenizer);
    REQUIRE(all);
    const auto count = [](const Sequence& s) {
      return std::count(s.by_model.begin(), s.by_model.end(), 1);
    };
    episode.mistakes = {0};
    CHECK(count(*encode(episode, pack->texts, *tokenizer)) < count(*all));
  }
}
