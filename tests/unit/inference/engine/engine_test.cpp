// The engine through its door: batches, cuts, forks, saving, stopping, refusing.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "inference/engine/fingerprint.h"
#include "inference/inference.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;

namespace {

class MemoryFile final : public ByteSink, public SavedFile {
 public:
  Result<void> write(std::span<const std::byte> b) override {
    stored.insert(stored.end(), b.begin(), b.end());
    return {};
  }
  Result<std::span<const std::byte>> bytes() override { return std::span(std::as_const(stored)); }
  std::vector<std::byte> stored;
};

std::unique_ptr<Engine> open(EngineOptions options = {},
                             const std::string& arguments = "--layers 4 --ratios 0,4,128,4,0") {
  options.n_threads = options.n_threads == 0 ? 2 : options.n_threads;
  auto engine = Engine::open(sable::test::mini_checkpoint(arguments), options);
  if (!engine) FAIL(engine.error().message);
  return std::move(*engine);
}

std::vector<TokenId> tokens(size_t n, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % 512);
  return ids;
}

void run(Engine& engine, Sequence& sequence) {
  Sequence* const one[] = {&sequence};
  while (sequence.n_waiting() > 0) {
    const auto stepped = engine.step(one);
    if (!stepped) FAIL(stepped.error().message);
  }
}

std::vector<float> logits_after(Engine& engine, std::span<const TokenId> ids) {
  const auto sequence = engine.start();
  REQUIRE(sequence->append(ids));
  run(engine, *sequence);
  return {sequence->logits().begin(), sequence->logits().end()};
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Saves a sequence to memory, blocks first, the position record last.
std::vector<MemoryFile> save(const Sequence& sequence) {
  std::vector<MemoryFile> files(sequence.saved_blocks() + 1);
  for (uint64_t i = 0; i < sequence.saved_blocks(); ++i) REQUIRE(sequence.save_block(i, files[i]));
  REQUIRE(sequence.save_position(files.back()));
  return files;
}

Result<std::unique_ptr<Sequence>> restore(Engine& engine, std::vector<MemoryFile>& files) {
  std::vector<SavedFile*> blocks;
  for (size_t i = 0; i + 1 < files.size(); ++i) blocks.push_back(&files[i]);
  return engine.restore(blocks, files.back());
}

}  // namespace

TEST_CASE("sequences stepped together give the logits that each gives alone") {
  const auto engine = open();
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<Sequence*> all;
  for (uint32_t i = 0; i < 4; ++i) {
    prompts.push_back(tokens(1 + 70 * i, i));
    sequences.push_back(engine->start());
    REQUIRE(sequences.back()->append(prompts.back()));
    all.push_back(sequences.back().get());
  }
  for (bool waiting = true; waiting;) {
    REQUIRE(engine->step(all));
    waiting = false;
    for (const auto* s : all) waiting = waiting || s->n_waiting() > 0;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(same_bits(all[i]->logits(), logits_after(*engine, prompts[i])));
  }
}

TEST_CASE("every position's logits are the ones that decoding token by token gives") {
  const auto engine = open();
  const auto ids = tokens(140);
  std::vector<std::vector<float>> rows;
  const auto whole = engine->start();
  whole->on_logits([&](uint64_t position, std::span<const float> logits) {
    CHECK(position == rows.size());
    rows.emplace_back(logits.begin(), logits.end());
  });
  REQUIRE(whole->append(ids));
  run(*engine, *whole);
  REQUIRE(rows.size() == ids.size());
  const auto single = engine->start();
  for (size_t t = 0; t < ids.size(); ++t) {
    REQUIRE(single->append(std::span(ids).subspan(t, 1)));
    run(*engine, *single);
    REQUIRE(same_bits(single->logits(), rows[t]));
  }
}

TEST_CASE("a cut sequence continues as if the rest had never been") {
  const auto engine = open();
  const auto ids = tokens(300), other = tokens(20, 9);
  for (const size_t n :
       {size_t{0}, size_t{1}, size_t{127}, size_t{128}, size_t{129}, size_t{256}, size_t{299}}) {
    INFO("cut to " << n);
    const auto sequence = engine->start();
    REQUIRE(sequence->append(ids));
    run(*engine, *sequence);
    REQUIRE(sequence->truncate(n));
    CHECK(sequence->tokens().size() == n);
    if (n > 0) {
      run(*engine, *sequence);
      CHECK(same_bits(sequence->logits(), logits_after(*engine, std::span(ids).first(n))));
    }
    REQUIRE(sequence->append(other));
    run(*engine, *sequence);
    std::vector<TokenId> joined(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
    joined.insert(joined.end(), other.begin(), other.end());
    CHECK(same_bits(sequence->logits(), logits_after(*engine, joined)));
  }
}

TEST_CASE("cutting a long sequence a little costs little to compute again") {
  const auto engine = open();
  const auto sequence = engine->start();
  REQUIRE(sequence->append(tokens(900)));
  run(*engine, *sequence);
  REQUIRE(sequence->truncate(890));
  CHECK(sequence->n_waiting() <= 128);
}

TEST_CASE("forks share memory and go their own ways") {
  const auto engine = open();
  const auto common = tokens(200), left = tokens(9, 2), right = tokens(30, 3);
  const auto a = engine->start();
  REQUIRE(a->append(common));
  run(*engine, *a);
  const uint64_t before = engine->cache_bytes_in_use();
  const auto b = a->fork();
  CHECK(engine->cache_bytes_in_use() == before);
  CHECK(same_bits(a->logits(), b->logits()));
  REQUIRE(a->append(left));
  REQUIRE(b->append(right));
  Sequence* const both[] = {a.get(), b.get()};
  while (a->n_waiting() + b->n_waiting() > 0) REQUIRE(engine->step(both));
  CHECK(engine->cache_bytes_in_use() < 2 * before);
  auto joined = common;
  joined.insert(joined.end(), left.begin(), left.end());
  CHECK(same_bits(a->logits(), logits_after(*engine, joined)));
  joined = common;
  joined.insert(joined.end(), right.begin(), right.end());
  CHECK(same_bits(b->logits(), logits_after(*engine, joined)));
}

TEST_CASE("all cache memory comes back when the sequences are gone") {
  const auto engine = open();
  {
    const auto sequence = engine->start();
    REQUIRE(sequence->append(tokens(400)));
    run(*engine, *sequence);
    const auto fork = sequence->fork();
    CHECK(engine->cache_bytes_in_use() > 0);
  }
  CHECK(engine->cache_bytes_in_use() == 0);
}

TEST_CASE("a restored sequence continues bit for bit, in another engine with other threads") {
  const auto arithmetic = GENERATE(Arithmetic::packed, Arithmetic::f32);
  const auto engine = open({.arithmetic = arithmetic});
  const auto other = open({.arithmetic = arithmetic, .n_threads = 1});
  const auto more = tokens(10, 5);
  for (const size_t n :
       {size_t{1}, size_t{3}, size_t{31}, size_t{127}, size_t{128}, size_t{130}, size_t{259}}) {
    INFO("saved at " << n);
    const auto ids = tokens(n);
    const auto sequence = engine->start();
    REQUIRE(sequence->append(ids));
    run(*engine, *sequence);
    auto files = save(*sequence);
    CHECK(files.size() == n / 128 + 1);
    auto restored = restore(*other, files);
    if (!restored) FAIL(restored.error().message);
    CHECK((*restored)->position() == n);
    CHECK(std::equal(ids.begin(), ids.end(), (*restored)->tokens().begin(),
                     (*restored)->tokens().end()));
    REQUIRE((*restored)->append(more));
    run(*other, **restored);
    auto joined = ids;
    joined.insert(joined.end(), more.begin(), more.end());
    CHECK(same_bits((*restored)->logits(), logits_after(*engine, joined)));
  }
}

TEST_CASE("blocks of equal prefixes are equal files") {
  const auto engine = open();
  auto ids = tokens(300);
  const auto a = engine->start();
  REQUIRE(a->append(ids));
  run(*engine, *a);
  ids[200] = (ids[200] + 1) % 512;
  const auto b = engine->start();
  for (const TokenId id : ids) {
    REQUIRE(b->append({&id, 1}));
    run(*engine, *b);
  }
  const auto first = save(*a), second = save(*b);
  CHECK(first[0].stored == second[0].stored);
  CHECK(first[1].stored != second[1].stored);
}

TEST_CASE("a torn, damaged, foreign or misplaced saved state is refused with its reason") {
  const auto engine = open();
  const auto sequence = engine->start();
  REQUIRE(sequence->append(tokens(300)));
  run(*engine, *sequence);
  const auto good = save(*sequence);

  SECTION("torn at any length") {
    for (size_t file = 0; file < good.size(); ++file) {
      for (size_t n = 0; n < good[file].stored.size(); n += 997) {
        auto files = good;
        files[file].stored.resize(n);
        CHECK(!restore(*engine, files));
      }
    }
  }
  SECTION("something behind the end") {
    for (size_t file = 0; file < good.size(); ++file) {
      auto files = good;
      files[file].stored.push_back(std::byte{0});
      CHECK(!restore(*engine, files));
    }
  }
  SECTION("one bit flipped anywhere") {
    std::mt19937 random(1);
    for (int i = 0; i < 300; ++i) {
      auto files = good;
      auto& bytes = files[random() % files.size()].stored;
      bytes[i < 150 ? random() % 80 : random() % bytes.size()] ^=
          static_cast<std::byte>(1u << random() % 8);
      CHECK(!restore(*engine, files));
    }
  }
  SECTION("blocks in another order") {
    auto files = good;
    std::swap(files[0], files[1]);
    const auto restored = restore(*engine, files);
    REQUIRE(!restored);
    CHECK(restored.error().code == ErrorCode::corrupt);
  }
  SECTION("another arithmetic, another model") {
    for (const auto& other : {open({.arithmetic = Arithmetic::f32}),
                              open({}, "--layers 4 --ratios 0,4,128,4,0 --seed-prefix b/")}) {
      auto files = good;
      const auto restored = restore(*other, files);
      REQUIRE(!restored);
      CHECK(restored.error().code == ErrorCode::invalid_input);
    }
  }
  SECTION("a block too few") {
    auto files = good;
    files.erase(files.begin());
    CHECK(!restore(*engine, files));
  }
}

TEST_CASE("a stopped step changes nothing") {
  const auto engine = open();
  const auto ids = tokens(150);
  const auto sequence = engine->start();
  REQUIRE(sequence->append(ids));
  Sequence* const one[] = {sequence.get()};
  std::stop_source stopped;
  stopped.request_stop();
  while (sequence->n_waiting() > 0) {
    const uint64_t before = sequence->position();
    const auto refused = engine->step(one, stopped.get_token());
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::cancelled);
    CHECK(sequence->position() == before);
    REQUIRE(engine->step(one));
  }
  CHECK(same_bits(sequence->logits(), logits_after(*engine, ids)));
}

TEST_CASE("a step that is stopped from another thread at any moment changes nothing", "[slow]") {
  EngineOptions options{.rows_in_step_max = 2};  // many steps to stop
  const auto engine = open(options);
  const auto ids = tokens(400);
  const auto sequence = engine->start();
  REQUIRE(sequence->append(ids));
  Sequence* const one[] = {sequence.get()};
  std::mt19937 random(3);
  size_t n_stopped = 0;
  while (sequence->n_waiting() > 0) {
    std::stop_source source;
    std::jthread stopper([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
      source.request_stop();
    });
    const auto stepped = engine->step(one, source.get_token());
    if (!stepped) ++n_stopped;
    stopper.join();
    if (n_stopped > 300 && sequence->n_waiting() > 0) {
      REQUIRE(engine->step(one));
    }
  }
  CHECK(n_stopped > 10);
  CHECK(same_bits(sequence->logits(), logits_after(*engine, ids)));
}

TEST_CASE("too little cache memory refuses a step and leaves the sequence usable") {
  EngineOptions options{.cache_bytes_max = 600'000};
  const auto engine = open(options);
  const auto roomy = open();
  const auto ids = tokens(900);
  const auto sequence = engine->start();
  REQUIRE(sequence->append(ids));
  Sequence* const one[] = {sequence.get()};
  Result<StepReport> stepped = StepReport{};
  while (stepped && sequence->n_waiting() > 0) stepped = engine->step(one);
  REQUIRE(!stepped);
  CHECK(stepped.error().code == ErrorCode::exhausted);
  const uint64_t reached = sequence->position();
  REQUIRE(reached > 0);
  const uint64_t kept = reached / 2;
  REQUIRE(sequence->truncate(kept));
  run(*engine, *sequence);
  CHECK(same_bits(sequence->logits(), logits_after(*roomy, std::span(ids).first(kept))));
}

TEST_CASE("bad tokens, too long contexts and unknown settings are refused") {
  const auto engine = open({.context_max = 10});
  const auto sequence = engine->start();
  for (const TokenId bad : {-1, 512, 1 << 30}) {
    const std::vector<TokenId> ids{1, bad};
    const auto appended = sequence->append(ids);
    REQUIRE(!appended);
    CHECK(appended.error().code == ErrorCode::invalid_input);
    CHECK(sequence->tokens().empty());
  }
  CHECK(sequence->append(tokens(10)));
  const auto longer = sequence->append(tokens(1));
  REQUIRE(!longer);
  CHECK(longer.error().code == ErrorCode::exhausted);
  CHECK(!sequence->truncate(11));

  const auto path = sable::test::mini_checkpoint("--layers 4 --ratios 0,4,128,4,0");
  CHECK(!Engine::open(path, {.backend = "abacus"}));
  CHECK(!Engine::open(path, {.instruction_set = "avx1024"}));
  CHECK(!Engine::open(path, {.fake_quant = false}));
  CHECK(Engine::open(path, {.arithmetic = Arithmetic::f32, .fake_quant = false}));
  CHECK(!Engine::open(path, {.context_max = 1u << 30}));
  CHECK(!Engine::open(path / "nowhere"));
}

TEST_CASE("the fingerprint follows everything that shows in results") {
  const std::string base = "--layers 4 --ratios 0,4,128,4,0";
  const auto a = open();
  CHECK(a->fingerprint() == open({.n_threads = 1, .rows_in_step_max = 3})->fingerprint());
  CHECK(a->fingerprint() != open({.arithmetic = Arithmetic::f32})->fingerprint());
  CHECK(a->fingerprint() != open({.activation_quant = false})->fingerprint());
  CHECK(a->fingerprint() != open({.backend = "reference"})->fingerprint());
  CHECK(a->fingerprint() != open({}, base + " --seed-prefix b/")->fingerprint());
  CHECK(a->fingerprint() != open({}, base + " --swiglu-limit 2")->fingerprint());
}

TEST_CASE("one changed bit anywhere in the weights is another fingerprint") {
  const auto original = sable::test::mini_checkpoint("--layers 4 --ratios 0,4,128,4,0");
  const sable::test::TemporaryFolder folder;
  const auto copy = folder / "copy";
  std::filesystem::copy(original, copy, std::filesystem::copy_options::recursive);
  const auto weights = copy / "model.safetensors";
  std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
  uint64_t n_header = 0;
  file.read(reinterpret_cast<char*>(&n_header), sizeof n_header);
  const uint64_t first = sizeof n_header + n_header, end = std::filesystem::file_size(weights);
  const auto flip = [&](uint64_t at) {
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 1);  // the last bit: no number becomes a NaN
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte).flush();
  };
  const auto fingerprint = [&] {
    const auto engine = Engine::open(copy);
    INFO((engine ? "" : engine.error().message));
    REQUIRE(engine);
    return (*engine)->fingerprint();
  };
  const auto whole = fingerprint();
  CHECK(whole == open()->fingerprint());
  for (const uint64_t at : {first, first + (end - first) / 3, first + (end - first) / 7 * 5}) {
    INFO(at);
    flip(at);
    CHECK(fingerprint() != whole);
    flip(at);
  }
  CHECK(fingerprint() == whole);
}

TEST_CASE("a model too large to be hashed whole is another one once its file was written to") {
  const auto original = sable::test::mini_checkpoint("--layers 4 --ratios 0,4,128,4,0");
  const sable::test::TemporaryFolder folder;
  const auto copy = folder / "copy";
  std::filesystem::copy(original, copy, std::filesystem::copy_options::recursive);
  const auto weights = copy / "model.safetensors";
  const auto fingerprint = [&](uint64_t hashed_bytes_max) {
    const auto checkpoint = Checkpoint::open(copy);
    REQUIRE(checkpoint);
    return fingerprint_of(**checkpoint, nullptr, {}, false, hashed_bytes_max);
  };
  const auto large = fingerprint(0), whole = fingerprint(UINT64_MAX);
  CHECK(large == fingerprint(0));
  CHECK(large != whole);
  std::filesystem::last_write_time(
      weights, std::filesystem::last_write_time(weights) + std::chrono::seconds(1));
  CHECK(fingerprint(0) != large);
  CHECK(fingerprint(UINT64_MAX) == whole);
}

TEST_CASE("the tokenizer beside the weights comes with the engine") {
  const auto engine = open();
  REQUIRE(engine->tokenizer());
  const auto ids = engine->tokenizer()->encode("in the", AddedTokens::as_text);
  REQUIRE(ids);
  CHECK(engine->tokenizer()->decode(*ids).value() == "in the");
}

TEST_CASE(
    "cache bytes for a length equal what a sequence of that length takes, but for part pages") {
  const auto engine = open({.arithmetic = Arithmetic::packed},
                           "--head-dim 512 --heads 2 --window 128 --layers 2 --ratios 4,128,0");
  CHECK(engine->cache_bytes_for(1024) - engine->cache_bytes_for(512) ==
        512 / 4 * (584 + 68) + 512 / 128 * 584);
  const auto sequence = engine->start();
  REQUIRE(sequence->append(tokens(1000)));
  run(*engine, *sequence);
  const double share = static_cast<double>(sequence->cache_bytes()) /
                       static_cast<double>(engine->cache_bytes_for(1000));
  CHECK(share > 0.7);
  CHECK(share < 1.3);
}
