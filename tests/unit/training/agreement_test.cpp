// What the model was trained on is what a session sends it: the same tokens, and none that the
// constraint on calls forbids.
#include <algorithm>
#include <regex>

#include <catch2/catch.hpp>

#include "evaluation/evaluation.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"
#include "training/encode_episodes.h"
#include "training/tokenizer_training.h"

using namespace sable;
using namespace sable::evaluation;
using namespace sable::training;
using inference::TokenId;

namespace {

/// One reply of the teacher, and what the model had read before it.
struct TaughtReply {
  std::vector<TokenId> prompt, tokens;  // without the end token
};

std::vector<TaughtReply> replies_of(const Sequence& sequence, TokenId end) {
  std::vector<TaughtReply> replies;
  for (size_t i = 0; i < sequence.tokens.size(); ++i) {
    if (sequence.by_model[i] == 0) continue;
    TaughtReply reply;
    reply.prompt.assign(sequence.tokens.begin(),
                        sequence.tokens.begin() + static_cast<std::ptrdiff_t>(i));
    while (sequence.tokens[i] != end) reply.tokens.push_back(sequence.tokens[i++]);
    replies.push_back(std::move(reply));
  }
  return replies;
}

/// Says what the teacher said, and keeps what it was asked.
class TeacherSource final : public agent::TokenSource {
 public:
  TeacherSource(const inference::Tokenizer& tokenizer, std::vector<TaughtReply> replies)
      : tokenizer_(tokenizer), replies_(std::move(replies)) {}
  const inference::Tokenizer& tokenizer() const override { return tokenizer_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  uint64_t context_max() const override { return 1 << 20; }
  std::unique_ptr<agent::TokenSequence> start() override { return std::make_unique<Stream>(*this); }

  std::vector<std::vector<TokenId>> asked;  // one prompt a step
  size_t n_forbidden = 0;                   // tokens of the teacher that the mask did not allow

 private:
  class Stream final : public agent::TokenSequence {
   public:
    explicit Stream(TeacherSource& source) : source_(source) {}
    asio::awaitable<Result<agent::TokenReply>> generate(agent::TokenRequest request,
                                                        agent::TokenSink on_tokens) override {
      TeacherSource& s = source_;
      const size_t step = s.asked.size();
      s.asked.push_back(request.prompt);
      if (step >= s.replies_.size()) co_return fail(ErrorCode::exhausted, "the lesson is over");
      agent::TokenReply reply{.tokens = s.replies_[step].tokens};
      auto with_end = reply.tokens;
      with_end.push_back(request.end);
      std::vector<uint64_t> allowed((s.tokenizer_.vocab_size() + 63) / 64);
      for (const TokenId token : with_end) {
        request.mask->fill_allowed(allowed);
        const auto id = static_cast<size_t>(token);
        if ((allowed[id / 64] >> (id % 64) & 1) == 0) ++s.n_forbidden;
        if (!request.mask->accept(token)) break;
      }
      on_tokens(reply.tokens);
      co_return reply;
    }

   private:
    TeacherSource& source_;
  };

  const inference::Tokenizer& tokenizer_;
  std::vector<TaughtReply> replies_;
  std::string fingerprint_ = "teacher";
};

/// The texts of tokens, without what differs from run to run.
std::string text_of(const inference::Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += *tokenizer.token_bytes(token);
  static const std::regex kSeconds(R"([0-9]+\.[0-9]+ ?s\b)");
  return std::regex_replace(text, kSeconds, "N s");
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

/// A play as if it had been played in `root`, with the pack's tools as they are.
Episode episode_in(Play play, const std::string& root, const AgentPack& pack) {
  for (auto& message : play.messages) replace_all(message.content, play.root, root);
  play.root = root;
  Random random(1);
  Episode episode = episode_of(std::move(play), "any", pack, Split::test, random);
  auto& tools = episode.messages.front().tools;
  tools.clear();
  for (const auto& tool : pack.tools) {
    tools.push_back(
        {{"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}});
  }
  episode.mistakes.clear();
  episode.thinking = true;
  return episode;
}

struct Machine {
  Machine() {
    const std::string launcher = std::string(SABLE_BINARY_DIR) + "/sable-launcher";
    auto first = sandbox::Sandbox::start(launcher);
    auto second = sandbox::Sandbox::start(launcher);
    if (!first || !second) FAIL("no sandbox here");
    sandbox = std::move(*first);
    auto opened = Workbench::open(folder / "bench", std::move(*second));
    if (!opened) FAIL(opened.error().message);
    bench = std::move(*opened);
    auto read = AgentPack::read(std::string(SABLE_SOURCE_DIR) + "/configs");
    if (!read) FAIL(read.error().message);
    pack = std::move(*read);
    auto home = memory::Store::open(folder / "home", {});
    if (!home) FAIL(home.error().message);
    store = std::move(*home);
  }

  agent::TurnResult run(agent::TokenSource& source, const std::filesystem::path& root,
                        const std::string& prompt) {
    auto model = agent::EngineModel::create(source, {.name = "m", .texts = pack.texts});
    if (!model) FAIL(model.error().message);
    const auto provider = agent::make_engine_provider(*model, workers);
    const agent::Services services{.store = *store,
                                   .sandbox = *sandbox,
                                   .workers = workers,
                                   .clock = system_clock(),
                                   .log = Log::none()};
    agent::SessionSetup setup{
        .repository = root, .agent = pack.config, .approval = agent::ApprovalMode::all};
    return test::run(turn(services, setup, *provider, registry, prompt));
  }

  static asio::awaitable<agent::TurnResult> turn(agent::Services services,
                                                 agent::SessionSetup setup,
                                                 agent::Provider& provider,
                                                 const tools::Registry& registry,
                                                 std::string prompt) {
    auto session = co_await agent::Session::create(std::move(services), std::move(setup), provider,
                                                   registry, "t");
    if (!session) co_return agent::TurnResult{.status = session.error().message};
    auto result = co_await (*session)->run_turn(std::move(prompt));
    if (!result) co_return agent::TurnResult{.status = result.error().message};
    co_return *result;
  }

  test::TemporaryFolder folder;
  asio::thread_pool workers{2};
  std::unique_ptr<sandbox::Sandbox> sandbox;
  std::unique_ptr<Workbench> bench;
  AgentPack pack;
  std::unique_ptr<memory::Store> store;
  tools::Registry registry = tools::Registry::with_builtins();
};

}  // namespace

TEST_CASE("a session asks its model with the tokens of the episodes that it was trained on") {
  Machine machine;
  std::vector<std::pair<Play, Episode>> lessons;
  std::vector<std::string> texts;
  for (const TaskKind& kind : task_kinds()) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
      Random random(seed);
      const MadeUpCode source;
      Stage stage(*machine.bench, {Split::test, Split::training, source}, random);
      if (!kind.script(stage) || !stage.good()) continue;
      Play play = stage.take();
      const auto root = machine.folder / ("r" + std::to_string(lessons.size()));
      Episode episode = episode_in(play, root.string(), machine.pack);
      const auto between = texts_between_tokens(episode, machine.pack.texts);
      REQUIRE(between);
      texts.insert(texts.end(), between->begin(), between->end());
      lessons.emplace_back(std::move(play), std::move(episode));
      break;
    }
  }
  REQUIRE(lessons.size() == task_kinds().size());
  const auto json =
      train_tokenizer(texts, {.vocab_size = 512, .phrases = fixed_phrases(machine.pack)});
  if (!json) FAIL(json.error().message);
  const auto tokenizer = inference::Tokenizer::from_json(*json);
  REQUIRE(tokenizer);
  const auto ids = agent::prompt_tokens(*tokenizer);
  REQUIRE(ids);

  for (size_t n = 0; n < lessons.size(); ++n) {
    const auto& [play, episode] = lessons[n];
    const auto root = machine.folder / ("r" + std::to_string(n));
    const std::string request = episode.messages[1].content;
    INFO(request);
    REQUIRE(write_files(play.repository.contents(), root));
    REQUIRE(commit_all(root));
    const auto sequence = encode(episode, machine.pack.texts, *tokenizer);
    REQUIRE(sequence);
    const auto taught = replies_of(*sequence, ids->end);
    TeacherSource source(*tokenizer, taught);
    const auto result = machine.run(source, root, request);
    CHECK(result.status == "finished");
    CHECK(source.n_forbidden == 0);
    REQUIRE(source.asked.size() == taught.size());
    for (size_t step = 0; step < taught.size(); ++step) {
      INFO("step " << step);
      // Only how long a command took may differ.
      CHECK(text_of(*tokenizer, source.asked[step]) == text_of(*tokenizer, taught[step].prompt));
      const bool timed = std::count(play.used_tools.begin(), play.used_tools.end(), "shell") > 0;
      if (!timed) CHECK(source.asked[step] == taught[step].prompt);
    }
  }
}
