// The loop: it learns, it resumes, threads do not matter; what it writes, the engine reads.
#include "training/trainer.h"

#include <cmath>

#include <catch2/catch.hpp>

#include "inference/inference.h"
#include "tests/support/temporary_folder.h"
#include "training/checkpoint_folder.h"
#include "training/model.h"
#include "training/shipped_rounding.h"

using namespace sable;
using namespace sable::training;

namespace {

ModelConfig tiny_config() {
  ModelConfig c;
  c.vocab_size = 128;
  c.hidden_size = 128;
  c.num_hidden_layers = 3;
  c.compress_ratios = {0, 4, 128};
  c.num_attention_heads = 2;
  c.head_dim = 128;
  c.q_lora_rank = 128;
  c.o_lora_rank = 128;
  c.o_groups = 2;
  c.sliding_window = 64;
  c.index_n_heads = 2;
  c.index_head_dim = 128;
  c.index_topk = 8;
  c.n_routed_experts = 4;
  c.num_experts_per_tok = 2;
  c.moe_intermediate_size = 128;
  c.num_hash_layers = 1;
  c.routed_scaling_factor = 1.5;
  c.max_position_embeddings = 4096;
  c.expert_dtype = "fp4";
  return c;
}

CopyTokens tiny_tokens() {
  CopyTokens tokens{0, 2, 3, 4, 1, 5, {}};
  for (int32_t i = 6; i < 128; ++i) tokens.words.push_back(i);
  return tokens;
}

Dataset tiny_data() {
  Dataset data;
  data.families = {"copy"};
  Random random(5);
  for (int i = 0; i < 40; ++i) data.sequences.push_back(copy_problems(tiny_tokens(), 3, random));
  // And something that is learned in a few steps: each token is the one before it plus one.
  for (int i = 0; i < 80; ++i) {
    Sequence counting{.tokens = {0}, .by_model = {0}};
    for (auto token = static_cast<int32_t>(random.between(6, 60)); counting.tokens.size() < 60;
         ++token) {
      counting.tokens.push_back(token);
      counting.by_model.push_back(1);
    }
    data.sequences.push_back(std::move(counting));
  }
  return data;
}

struct Run {
  explicit Run(size_t n_threads, uint64_t seed = 1)
      : parameters(*Parameters::of(tiny_config())),
        data(tiny_data()),
        trainer(parameters, initial_values(parameters, seed), data, tiny_tokens(), NameTokens{},
                {.seed = seed,
                 .n_threads = n_threads,
                 .tokens = 1,
                 .long_copies = 0,  // one is longer than a step here
                 .batch_tokens_first = 512}) {}
  void steps(size_t n, double fraction = 0.3) {
    for (size_t i = 0; i < n; ++i) REQUIRE(trainer.step(fraction));
  }
  Parameters parameters;
  Dataset data;
  Trainer trainer;
};

}  // namespace

TEST_CASE("an episode with other names differs in its names alone, and is the same everywhere") {
  NameTokens names;
  names.lower = {{10, 11, 12}, {20, 21}, {22, 23}};
  const Sequence read{.tokens = {1, 10, 5, 11, 10, 6, 12}, .by_model = {0, 0, 0, 0, 1, 1, 1}};
  size_t n_changed = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    const Sequence other = with_other_names(read, names, random);
    REQUIRE(other.tokens.size() == other.by_model.size());
    // Between the tokens that are no names stand the same names as before.
    const auto at = [&](int32_t token) {
      return static_cast<size_t>(std::find(other.tokens.begin(), other.tokens.end(), token) -
                                 other.tokens.begin());
    };
    const size_t five = at(5), six = at(6);
    REQUIRE(six < other.tokens.size());
    const std::vector<int32_t> first(other.tokens.begin() + 1, other.tokens.begin() + five);
    const std::vector<int32_t> again(other.tokens.begin() + six - first.size(),
                                     other.tokens.begin() + six);
    CHECK(first == again);
    for (size_t i = five; i < other.tokens.size(); ++i) {
      CHECK((other.by_model[i] == 1) == (i >= six - first.size()));
    }
    n_changed += first != std::vector<int32_t>{10};
  }
  CHECK(n_changed > 25);
}

TEST_CASE("the loss falls") {
  Run run(1);
  run.steps(3);
  const double first = run.trainer.progress().loss;
  run.steps(40);
  CHECK(run.trainer.progress().loss < first - 0.2);
}

TEST_CASE("runs are equal bit for bit on any number of threads, also with everything rounded") {
  const double fraction = GENERATE(0.3, 0.95);
  Run one(1), three(3);
  one.steps(3, fraction);
  three.steps(3, fraction);
  CHECK(one.trainer.values() == three.trainer.values());
}

TEST_CASE("a resumed run goes on as if it had never stopped") {
  test::TemporaryFolder folder;
  Run whole(2), first(2), second(2);
  whole.steps(6);
  first.steps(3);
  REQUIRE(first.trainer.save(folder / "state"));
  REQUIRE(second.trainer.load(folder / "state"));
  second.steps(3);
  CHECK(second.trainer.values() == whole.trainer.values());
  CHECK(second.trainer.progress().tokens == whole.trainer.progress().tokens);
  folder.write("torn", folder.read("state").substr(0, 1000));
  CHECK(second.trainer.load(folder / "torn").error().code == ErrorCode::invalid_input);
}

TEST_CASE("a written checkpoint gives the trainer's logits in the inference core") {
  const bool shipped = GENERATE(false, true);
  test::TemporaryFolder folder;
  Run run(2);
  run.steps(5);
  std::vector<float> values = run.trainer.values();
  const std::filesystem::path path = folder / "model";
  if (shipped) {
    REQUIRE(write_shipped_checkpoint(run.parameters, values, "{}", path));
    round_to_shipped(run.parameters, 0, run.parameters.list().size(), values.data(), values.data());
  } else {
    REQUIRE(write_f32_checkpoint(run.parameters, values, "{}", path));
  }
  inference::EngineOptions options;
  options.arithmetic = inference::Arithmetic::f32;
  options.fake_quant = options.activation_quant = false;
  options.n_threads = 1;
  const auto engine = inference::Engine::open(path, options);
  if (!engine) FAIL(engine.error().message);
  std::vector<int32_t> ids;
  Random random(8);
  for (size_t t = 0; t < 150; ++t) ids.push_back(static_cast<int32_t>(random.below(128)));
  const auto sequence = (*engine)->start();
  std::vector<float> engine_logits;
  sequence->on_logits([&](uint64_t, std::span<const float> row) {
    engine_logits.insert(engine_logits.end(), row.begin(), row.end());
  });
  REQUIRE(sequence->append(ids));
  while (sequence->n_waiting() > 0) {
    inference::Sequence* const list[] = {sequence.get()};
    REQUIRE((*engine)->step(list));
  }
  std::vector<float> transposed(values.size()), ours;
  transpose_values(run.parameters, 0, run.parameters.list().size(), values.data(),
                   transposed.data());
  Worker worker(run.parameters);
  const std::vector<float> weight(ids.size(), 0.0F);
  worker.run({ids, weight}, {values.data(), transposed.data(), nullptr}, {}, {}, &ours);
  REQUIRE(ours.size() == engine_logits.size());
  float worst = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    worst = std::max(worst, std::abs(ours[i] - engine_logits[i]));
  }
  CHECK(worst < 2e-4F);
  // Trained weights alone start a new run.
  const auto checkpoint = Checkpoint::open(path);
  REQUIRE(checkpoint);
  Parameters again = *Parameters::of((*checkpoint)->config());
  CHECK(*values_of(**checkpoint, again) == values);
}

TEST_CASE("orthogonalize leaves singular values near one") {
  const size_t rows = GENERATE(24, 64), cols = 88 - rows;
  Random random(2);
  std::vector<float> x(rows * cols);
  for (float& v : x) v = random.normal();
  orthogonalize(x.data(), rows, cols);
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  CHECK(squares / 24 == Approx(0.8).margin(0.35));
}
