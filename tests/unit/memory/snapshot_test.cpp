#include <fcntl.h>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>
#include <unistd.h>

#include "base/unique_fd.h"
#include "tests/support/made_up_state.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

class Caches {
 public:
  explicit Caches(SnapshotOptions options = {}) : options_(std::move(options)) {
    options_.free_bytes_min = 0;
    store = open_store(home());
    reopen();
  }
  fs::path home() const { return folder_ / "home"; }
  void reopen() {
    cache.reset();
    auto opened = SnapshotStore::open(home(), options_);
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened.has_value());
    cache = std::move(*opened);
  }
  std::unique_ptr<Lease> live_session() { return must(store->create_session({.title = "live"})); }
  std::vector<fs::path> segments() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(home() / "cache")) {
      if (entry.path().extension() == ".segment") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  uint64_t bytes_in_use() const {
    const auto usage = cache->usage();
    REQUIRE(usage.has_value());
    return usage->bytes;
  }
  uint64_t bytes_on_disk() const {
    // Without what the file system needs to find it, which st_blocks counts too.
    uint64_t bytes = 0;
    for (const auto& file : segments()) {
      const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
      REQUIRE(fd);
      for (off_t at = 0; (at = ::lseek(fd.get(), at, SEEK_DATA)) >= 0;) {
        const off_t end = ::lseek(fd.get(), at, SEEK_HOLE);
        REQUIRE(end > at);
        bytes += static_cast<uint64_t>(end - at);
        at = end;
      }
    }
    return bytes;
  }

 private:
  TemporaryFolder folder_;
  SnapshotOptions options_;

 public:
  std::unique_ptr<Store> store;
  std::unique_ptr<SnapshotStore> cache;
};

SaveReport save(SnapshotStore& cache, const std::string& session, MadeUpState& state,
                uint8_t engine = 1) {
  const auto report = cache.save(session, state.stream(engine), state);
  INFO((report ? "" : report.error().message));
  REQUIRE(report.has_value());
  return *report;
}

/// How many tokens of the stream are found and are, byte for byte, what was saved; 0 for none. What
/// is damaged is asked for again, as whoever resumes does.
uint64_t restored(SnapshotStore& cache, const MadeUpState& state, uint8_t engine = 1) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    const auto reader = cache.find(state.stream(engine));
    if (!reader) {
      CHECK(reader.error().code == ErrorCode::not_found);
      return 0;
    }
    bool whole = true;
    for (uint64_t i = 0; i < (*reader)->n_blocks() && whole; ++i) {
      const auto block = (*reader)->block(i);
      whole = block.has_value();
      if (!whole) {
        CHECK(block.error().code == ErrorCode::not_found);
        break;
      }
      const auto expected = state.block_bytes(i);
      REQUIRE(std::equal(block->begin(), block->end(), expected.begin(), expected.end()));
    }
    if (!whole) continue;
    const auto position = (*reader)->position();
    if (!position) continue;
    const auto expected = state.position_bytes((*reader)->n_tokens());
    REQUIRE(std::equal(position->begin(), position->end(), expected.begin(), expected.end()));
    REQUIRE((*reader)->n_blocks() == (*reader)->n_tokens() / kSnapshotBlockTokens);
    return (*reader)->n_tokens();
  }
  FAIL("damage is met again and again");
  return 0;
}

}  // namespace

TEST_CASE("a snapshot is found again, byte for byte, also by the next process") {
  Caches caches;
  MadeUpState state(made_up_tokens(1000));
  const auto report = save(*caches.cache, "s_a", state);
  CHECK(report.n_blocks_written == 7);
  CHECK(restored(*caches.cache, state) == 1000);
  caches.reopen();
  CHECK(restored(*caches.cache, state) == 1000);
  CHECK(save(*caches.cache, "s_a", state).n_blocks_written == 0);
}

TEST_CASE("a large snapshot comes back in whatever order its blocks are asked for") {
  Caches caches({.segment_bytes_max = uint64_t{6} << 20});
  const size_t n_blocks = 48;
  MadeUpState state(made_up_tokens(n_blocks * 128 + 5), 250'000, 3'000'000);
  // In turns, so that it lies in several segments, with older position records in between.
  for (size_t n = 12; n <= n_blocks; n += 12) {
    MadeUpState part(made_up_tokens(n * 128 + 5), 250'000, 3'000'000);
    save(*caches.cache, "s_a", part);
  }
  REQUIRE(caches.segments().size() > 1);
  std::vector<uint64_t> order(n_blocks);
  std::iota(order.begin(), order.end(), 0);
  for (unsigned seed = 0; seed < 4; ++seed) {
    INFO("seed " << seed);
    const auto reader = caches.cache->find(state.stream());
    REQUIRE(reader.has_value());
    for (size_t i = 0; i < n_blocks; ++i) {
      const auto block = (*reader)->block(order[i]);
      REQUIRE(block.has_value());
      const auto expected = state.block_bytes(order[i]);
      REQUIRE(std::equal(block->begin(), block->end(), expected.begin(), expected.end()));
      if (seed == 3 && i == n_blocks / 2) break;  // given up while more is read ahead
      if (i % 20 == 19) {
        const auto position = (*reader)->position();
        REQUIRE(position.has_value());
        const auto bytes = state.position_bytes(state.tokens().size());
        REQUIRE(std::equal(position->begin(), position->end(), bytes.begin(), bytes.end()));
      }
    }
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  }
}

TEST_CASE("the longest stored prefix is found, wherever it ends") {
  Caches caches;
  const size_t length = GENERATE(0u, 1u, 127u, 128u, 129u, 256u, 300u);
  MadeUpState shorter(made_up_tokens(length)), longer(made_up_tokens(length + 400));
  save(*caches.cache, "s_a", shorter);
  CHECK(restored(*caches.cache, longer) == length);
  save(*caches.cache, "s_a", longer);
  CHECK(restored(*caches.cache, longer) == length + 400);
  CHECK(restored(*caches.cache, shorter) == length);
}

TEST_CASE("a long stream, whose beginning is read before all of it is found, comes back") {
  Caches caches;
  const auto tokens = made_up_tokens(128 * 1100 + 60);
  const auto first = [&](size_t n) { return std::vector(tokens.begin(), tokens.begin() + n); };
  MadeUpState whole(tokens, 40, 30);
  SECTION("whole, in one save") {
    save(*caches.cache, "s_a", whole);
    CHECK(restored(*caches.cache, whole) == tokens.size());
    SECTION("and what is left of it where it is damaged") {
      MadeUpState beginning(first(128 * 7), 40, 30);
      save(*caches.cache, "s_b", beginning);
      const int at = GENERATE(5000, 200'000);  // in what is read at once, and behind it
      std::fstream stream(caches.segments().front(),
                          std::ios::binary | std::ios::in | std::ios::out);
      stream.seekp(at);
      stream.put('\x55').flush();
      CHECK(restored(*caches.cache, whole) == 128 * 7);
    }
  }
  SECTION("in several saves") {
    for (const size_t n : {128 * 100 + 9, 128 * 511, 128 * 512 + 1, 128 * 900}) {
      MadeUpState part(first(n), 40, 30);
      save(*caches.cache, "s_a", part);
      CHECK(restored(*caches.cache, whole) == n);
    }
  }
  SECTION("where its stored state is nearer to the beginning than the blocks that are stored") {
    MadeUpState part(first(128 * 100 + 9), 40, 30);
    save(*caches.cache, "s_a", part);
    auto others = first(128 * 700);
    others[128 * 600] = -1;
    MadeUpState other(others, 40, 30);
    save(*caches.cache, "s_b", other);
    CHECK(restored(*caches.cache, whole) == 128 * 100 + 9);
  }
}

TEST_CASE("a stream that differs in one token shares only what is before it") {
  Caches caches;
  MadeUpState first(made_up_tokens(500));
  save(*caches.cache, "s_a", first);
  auto tokens = made_up_tokens(500);
  const size_t at = GENERATE(0u, 127u, 128u, 383u, 499u);
  tokens[at] = -1;
  MadeUpState second(tokens);
  CHECK(restored(*caches.cache, second) == 0);
  const auto report = save(*caches.cache, "s_b", second);
  CHECK(report.n_blocks_written == 3 - std::min<size_t>(at / 128, 3));
  CHECK(second.n_asked == report.n_blocks_written);
  CHECK(restored(*caches.cache, first) == 500);
  CHECK(restored(*caches.cache, second) == 500);
}

TEST_CASE("a state of another engine is never found") {
  Caches caches;
  MadeUpState state(made_up_tokens(300));
  save(*caches.cache, "s_a", state, /*engine=*/1);
  CHECK(restored(*caches.cache, state, /*engine=*/2) == 0);
  CHECK(save(*caches.cache, "s_a", state, /*engine=*/2).n_blocks_written == 2);
}

TEST_CASE("a chain's blocks lie close together, and what was saved later goes behind it") {
  Caches caches;
  // With their headers, in whole cache lines, blocks take 1088, 1216 and 1280 bytes, the rest 832.
  MadeUpState state(made_up_tokens(128 * 6), 1000);
  save(*caches.cache, "s_a", state);
  REQUIRE(caches.segments().size() == 1);
  CHECK(fs::file_size(caches.segments().front()) == 2 * 4096);
  MadeUpState more(made_up_tokens(128 * 8), 1000);
  save(*caches.cache, "s_a", more);
  CHECK(fs::file_size(caches.segments().front()) == 3 * 4096);
  CHECK(caches.bytes_in_use() == 3 * 4096);
  CHECK(caches.bytes_on_disk() == 3 * 4096);
}

TEST_CASE("entries that are longer than what is written at once come back whole") {
  Caches caches;
  MadeUpState state(made_up_tokens(128 * 4 + 1), 9'000'001, 9'000'003);
  save(*caches.cache, "s_a", state);
  CHECK(restored(*caches.cache, state) == 128 * 4 + 1);
  MadeUpState mixed(made_up_tokens(128 * 40, -3), 900'001, 11);
  save(*caches.cache, "s_b", mixed);
  CHECK(restored(*caches.cache, mixed) == 128 * 40);
  CHECK(caches.bytes_in_use() == caches.bytes_on_disk());
}

TEST_CASE("a disk block goes when the last of the entries that share it does") {
  Caches caches;
  // Rows of 15 blocks, all in one save: which of them are needed is up to the sessions.
  MadeUpState longest(made_up_tokens(128 * 15), 1000);
  save(*caches.cache, "s_15", longest);
  CHECK(caches.bytes_in_use() == 5 * 4096);
  uint64_t bytes_before = caches.bytes_on_disk();
  for (size_t n = 14; n > 0; --n) {
    MadeUpState shorter(made_up_tokens(128 * n), 1000);
    save(*caches.cache, "s_" + std::to_string(n), shorter);
    REQUIRE(caches.cache->forget("s_" + std::to_string(n + 1)));
    INFO(n << " blocks are left");
    CHECK(restored(*caches.cache, longest) == 128 * n);
    CHECK(caches.bytes_on_disk() == caches.bytes_in_use());
    CHECK(caches.bytes_on_disk() <= bytes_before + 4096);  // one for the new position record
    bytes_before = caches.bytes_on_disk();
  }
  CHECK(caches.bytes_on_disk() == 2 * 4096);
}

TEST_CASE("whatever is saved and forgotten, in whatever order, the disk holds what is in use") {
  const auto seed = GENERATE(range(1u, 7u));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  Caches caches({.segment_bytes_max = 200'000});
  // Trees of streams with common beginnings; a session each.
  constexpr size_t kSessions = 12;
  std::vector<std::unique_ptr<MadeUpState>> saved(kSessions);
  size_t n_forgotten = 0;
  for (int step = 0; step < 60; ++step) {
    const size_t session = random() % kSessions;
    const std::string name = "s_" + std::to_string(session);
    if (saved[session]) {
      REQUIRE(caches.cache->forget(name));
      saved[session].reset();
      ++n_forgotten;
    } else {
      auto tokens = made_up_tokens(random() % 2000, random() % 2 == 0 ? 0 : -7);
      if (tokens.size() > 600 && random() % 2 == 0) {
        for (size_t i = 500; i < tokens.size(); ++i) tokens[i] += 100'000;
      }
      saved[session] = std::make_unique<MadeUpState>(std::move(tokens), 500 + seed * 700, 900);
      save(*caches.cache, name, *saved[session]);
    }
    if (step % 20 == 19) caches.reopen();
    CHECK(caches.bytes_on_disk() == caches.bytes_in_use());
    for (const auto& state : saved) {
      if (state) REQUIRE(restored(*caches.cache, *state) == state->tokens().size());
    }
  }
  CHECK(n_forgotten > 10);
}

TEST_CASE("what another process was faster to save is freed beside what it was not") {
  /// Saves a beginning of itself elsewhere while it is saved.
  class Overtaken : public MadeUpState {
   public:
    Overtaken(std::vector<int32_t> tokens, SnapshotStore& other, MadeUpState& beginning)
        : MadeUpState(std::move(tokens), 1000), other_(other), beginning_(beginning) {}
    Result<void> position(std::vector<std::byte>& bytes) override {
      save(other_, "s_other", beginning_);
      return MadeUpState::position(bytes);
    }

   private:
    SnapshotStore& other_;
    MadeUpState& beginning_;
  };
  Caches caches;
  auto other = SnapshotStore::open(caches.home(), {.free_bytes_min = 0});
  REQUIRE(other.has_value());
  const size_t n_faster = GENERATE(1u, 4u, 5u, 6u, 7u, 11u);  // 3584 bytes are three blocks
  INFO(n_faster << " blocks");
  MadeUpState beginning(made_up_tokens(128 * n_faster), 1000);
  Overtaken whole(made_up_tokens(128 * 11), **other, beginning);
  save(*caches.cache, "s_a", whole);
  CHECK(restored(*caches.cache, whole) == 128 * 11);
  CHECK(caches.bytes_on_disk() == caches.bytes_in_use());
}

TEST_CASE("space that no row names is freed at the next start, but for what a neighbour shares") {
  Caches caches;
  MadeUpState state(made_up_tokens(128 * 15), 1000);  // about three entries in a disk block
  save(*caches.cache, "s_a", state);
  MadeUpState half(made_up_tokens(128 * 7 + 3), 1000);
  save(*caches.cache, "s_a", half);
  caches.cache.reset();
  // As a process leaves it that dies between the index and the disk. Row 1 stands for the engine.
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((caches.home() / "cache" / "index.db").c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database,
                       "DELETE FROM block WHERE number > 8; DELETE FROM position WHERE "
                       "number = 1; DELETE FROM user WHERE position = 1",
                       nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
  CHECK(caches.bytes_on_disk() == 6 * 4096);
  caches.reopen();
  CHECK(caches.bytes_on_disk() == 4 * 4096);
  CHECK(caches.bytes_in_use() == 4 * 4096);
  CHECK(restored(*caches.cache, state) == 128 * 7 + 3);
}

TEST_CASE("a segment that is long enough is left, and a new one begun") {
  Caches caches({.segment_bytes_max = 10000});
  MadeUpState a(made_up_tokens(500, 0)), b(made_up_tokens(500, 10000));
  save(*caches.cache, "s_a", a);
  save(*caches.cache, "s_b", b);
  CHECK(caches.segments().size() == 2);
  CHECK(restored(*caches.cache, a) == 500);
  CHECK(restored(*caches.cache, b) == 500);
}

TEST_CASE("one changed byte anywhere in a segment costs a part, never a wrong answer") {
  Caches caches;
  MadeUpState half(made_up_tokens(200)), state(made_up_tokens(400));
  save(*caches.cache, "s_a", half);
  save(*caches.cache, "s_a", state);
  const auto file = caches.segments().front();
  REQUIRE(fs::file_size(file) == 5 * 4096);
  // Where the entries lie; `n_used` without the padding.
  const struct {
    int at, n_used;
  } entries[] = {{0, 3972}, {4032, 772}, {8192, 4072}, {12288, 4172}, {16512, 772}};
  // Each field of the header and some of the payload; the last byte and what is behind it follow.
  const int offsets[] = {0, 9, 20, 35, 41, 47, 50, 60, 66, 71, 72, 300};
  std::vector<int> places;
  for (const auto& entry : entries) {
    for (const int offset : offsets) places.push_back(entry.at + offset);
    places.push_back(entry.at + entry.n_used - 1);
    places.push_back(entry.at + entry.n_used);  // padding, which does not matter
  }
  size_t n_noticed = 0;
  for (const int at : places) {
    {
      std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
      stream.seekg(at);
      const int byte = stream.get();
      stream.seekp(at);
      stream.put(static_cast<char>(byte ^ 0x10));
    }
    const uint64_t n = restored(*caches.cache, state);
    CHECK((n == 0 || n == 200 || n == 400));
    n_noticed += n != 400;
    // What was dropped is saved anew, and the damage is gone.
    save(*caches.cache, "s_a", half);
    save(*caches.cache, "s_a", state);
    CHECK(restored(*caches.cache, state) == 400);
    caches.cache.reset();
    for (const auto& entry : fs::directory_iterator(caches.home() / "cache")) {
      fs::remove(entry.path());
    }
    caches.reopen();
    save(*caches.cache, "s_a", half);
    save(*caches.cache, "s_a", state);
  }
  // Four of the five are needed for the longest prefix.
  CHECK(n_noticed == 4 * (std::size(offsets) + 1));
}

TEST_CASE("a segment that is cut off, emptied or gone is a miss") {
  Caches caches;
  MadeUpState state(made_up_tokens(400));
  save(*caches.cache, "s_a", state);
  const auto file = caches.segments().front();
  const int how = GENERATE(0, 1, 2, 3);
  if (how == 0) fs::resize_file(file, 5000);
  if (how == 1) fs::resize_file(file, 0);
  if (how == 2) fs::remove(file);
  if (how == 3) std::ofstream(file, std::ios::binary) << std::string(20000, '\0');
  CHECK(restored(*caches.cache, state) == 0);
  save(*caches.cache, "s_a", state);
  CHECK(restored(*caches.cache, state) == 400);
}

TEST_CASE("a damaged or foreign index is thrown away with what it describes") {
  Caches caches;
  MadeUpState state(made_up_tokens(400));
  save(*caches.cache, "s_a", state);
  caches.cache.reset();
  const auto index = caches.home() / "cache" / "index.db";
  SECTION("not a database") { std::ofstream(index, std::ios::binary) << std::string(9000, 'x'); }
  SECTION("another version") {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(index.c_str(), &database) == SQLITE_OK);
    REQUIRE(sqlite3_exec(database, "PRAGMA user_version=99", nullptr, nullptr, nullptr) == 0);
    sqlite3_close(database);
  }
  SECTION("met while it was used") { std::ofstream(caches.home() / "cache" / "index.damaged"); }
  caches.reopen();
  CHECK(restored(*caches.cache, state) == 0);
  CHECK(caches.segments().empty());
  save(*caches.cache, "s_a", state);
  CHECK(restored(*caches.cache, state) == 400);
}

TEST_CASE("a chain is found among many blocks of others") {
  Caches caches;
  MadeUpState whole(made_up_tokens(1500)), other(made_up_tokens(60000, -3));
  for (const size_t n : {300, 900, 1500}) {
    MadeUpState grown(made_up_tokens(n));
    save(*caches.cache, "s_a", grown);
    MadeUpState between(made_up_tokens(40 * n, -3));  // some hundred blocks
    save(*caches.cache, "s_b", between);
  }
  CHECK(restored(*caches.cache, whole) == 1500);
  CHECK(restored(*caches.cache, other) == 60000);
}

TEST_CASE("an index that contradicts itself loses the snapshot, not the truth") {
  Caches caches;
  MadeUpState state(made_up_tokens(600)), other(made_up_tokens(600, -3));
  save(*caches.cache, "s_a", state);
  save(*caches.cache, "s_b", other);
  caches.cache.reset();
  // Row 1 stands for the engine, 2 to 5 are the blocks of the one, 6 to 9 those of the other.
  const std::string change = GENERATE(
      as<std::string>(), "UPDATE block SET parent=8 WHERE number=4",
      "UPDATE block SET parent=4 WHERE number=4", "UPDATE block SET parent=999 WHERE number=4",
      "UPDATE block SET parent=-1 WHERE number=4",
      "UPDATE block SET key=zeroblob(32) WHERE number=4",
      "UPDATE block SET key=x'00' WHERE number=4", "DELETE FROM block WHERE number=4");
  INFO(change);
  sqlite3* database = nullptr;
  const auto index = caches.home() / "cache" / "index.db";
  REQUIRE(sqlite3_open(index.c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database, change.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_changes(database) == 1);
  sqlite3_close(database);
  caches.reopen();
  CHECK(restored(*caches.cache, state) < 600);
  CHECK(restored(*caches.cache, other) == 600);
  save(*caches.cache, "s_a", state);
  CHECK(restored(*caches.cache, other) == 600);
}

TEST_CASE("one changed byte anywhere in the index never gives a wrong answer", "[slow]") {
  Caches caches;
  MadeUpState half(made_up_tokens(200)), state(made_up_tokens(400));
  save(*caches.cache, "s_a", half);
  save(*caches.cache, "s_a", state);
  caches.cache.reset();
  const auto sound = caches.home() / "sound";
  fs::copy(caches.home() / "cache", sound);
  const auto size = static_cast<int>(fs::file_size(sound / "index.db"));
  for (int at = 0; at < size; at += 211) {
    INFO("byte " << at);
    fs::remove_all(caches.home() / "cache");
    fs::copy(sound, caches.home() / "cache");
    {
      std::fstream stream(caches.home() / "cache" / "index.db",
                          std::ios::binary | std::ios::in | std::ios::out);
      stream.seekg(at);
      const int byte = stream.get();
      stream.seekp(at);
      stream.put(static_cast<char>(byte ^ 0x20));
    }
    auto opened = SnapshotStore::open(caches.home(), {.free_bytes_min = 0});
    if (!opened) continue;
    for (const MadeUpState* wanted : {&half, &state}) {
      const auto reader = (*opened)->find(wanted->stream());
      if (!reader) continue;
      for (uint64_t i = 0; i < (*reader)->n_blocks(); ++i) {
        const auto block = (*reader)->block(i);
        if (!block) break;
        const auto expected = wanted->block_bytes(i);
        REQUIRE(std::equal(block->begin(), block->end(), expected.begin(), expected.end()));
      }
      const auto position = (*reader)->position();
      if (!position) continue;
      const auto expected = wanted->position_bytes((*reader)->n_tokens());
      REQUIRE(std::equal(position->begin(), position->end(), expected.begin(), expected.end()));
    }
  }
}

TEST_CASE("over the budget the longest unused snapshots go, and their space with them") {
  Caches caches({.bytes_max = 40 * 4096});
  std::vector<MadeUpState> states;
  for (int i = 0; i < 20; ++i) states.emplace_back(made_up_tokens(400, 10000 * i));
  for (size_t i = 0; i < states.size(); ++i) {
    save(*caches.cache, "s_" + std::to_string(i), states[i]);
    CHECK(restored(*caches.cache, states[0]) == 400);  // used all the time
    const auto usage = caches.cache->usage();
    REQUIRE(usage.has_value());
    CHECK(usage->bytes <= 40 * 4096);
    CHECK(caches.bytes_on_disk() == usage->bytes);
  }
  CHECK(restored(*caches.cache, states[0]) == 400);
  CHECK(restored(*caches.cache, states[1]) == 0);
  CHECK(restored(*caches.cache, states[19]) == 400);
}

TEST_CASE("a block that another snapshot needs stays when one of them goes") {
  Caches caches;
  MadeUpState shorter(made_up_tokens(300)), longer(made_up_tokens(900));
  save(*caches.cache, "s_a", shorter);
  save(*caches.cache, "s_b", longer);
  REQUIRE(caches.cache->forget("s_b"));
  CHECK(restored(*caches.cache, longer) == 300);
  REQUIRE(caches.cache->forget("s_a"));
  CHECK(restored(*caches.cache, longer) == 0);
  const auto usage = caches.cache->usage();
  REQUIRE(usage.has_value());
  CHECK(usage->n_blocks == 0);
  CHECK(usage->bytes == 0);
  CHECK(caches.bytes_on_disk() == 0);
}

TEST_CASE("a snapshot that another session uses too outlives one of them") {
  Caches caches;
  MadeUpState state(made_up_tokens(300));
  save(*caches.cache, "s_a", state);
  save(*caches.cache, "s_b", state);
  REQUIRE(caches.cache->forget("s_a"));
  CHECK(restored(*caches.cache, state) == 300);
}

TEST_CASE(
    "the newest snapshot of a live session is never evicted; a new one that finds no room is "
    "refused") {
  Caches caches({.bytes_max = 12 * 4096});
  auto lease = caches.live_session();
  MadeUpState first(made_up_tokens(400)), held(made_up_tokens(1000));
  save(*caches.cache, lease->session(), first);
  save(*caches.cache, lease->session(), held);
  for (int i = 1; i < 10; ++i) {
    MadeUpState other(made_up_tokens(500, 10000 * i));
    const auto saved = caches.cache->save("s_other", other.stream(), other);
    CHECK((saved || saved.error().code == ErrorCode::exhausted));
    REQUIRE(restored(*caches.cache, held) == 1000);
  }
  MadeUpState larger(made_up_tokens(3000));
  const auto refused = caches.cache->save(lease->session(), larger.stream(), larger);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::exhausted);
  CHECK(restored(*caches.cache, larger) == 1000);
  lease.reset();
  MadeUpState other(made_up_tokens(1200, 500000));
  save(*caches.cache, "s_other", other);
  CHECK(restored(*caches.cache, held) == 0);
}

TEST_CASE("a source that fails leaves nothing behind") {
  class Failing : public MadeUpState {
   public:
    using MadeUpState::MadeUpState;
    Result<void> block(uint64_t index, std::vector<std::byte>& bytes) override {
      if (index == 2) return fail(ErrorCode::corrupt, "no such block");
      return MadeUpState::block(index, bytes);
    }
  };
  Caches caches;
  Failing state(made_up_tokens(600));
  const auto saved = caches.cache->save("s_a", state.stream(), state);
  REQUIRE_FALSE(saved.has_value());
  CHECK(saved.error().message == "no such block");
  CHECK(restored(*caches.cache, state) == 0);
  CHECK(caches.bytes_on_disk() == 0);
  CHECK_FALSE(fs::exists(caches.home() / "cache" / "index.damaged"));
}

TEST_CASE("too little room on the disk refuses a snapshot before the log suffers") {
  Caches caches;
  auto opened = SnapshotStore::open(caches.home(), {.free_bytes_min = uint64_t{1} << 60});
  REQUIRE(opened.has_value());
  MadeUpState state(made_up_tokens(300));
  const auto saved = (*opened)->save("s_a", state.stream(), state);
  REQUIRE_FALSE(saved.has_value());
  CHECK(saved.error().code == ErrorCode::exhausted);
}

TEST_CASE("a live fork's beginning is not evicted before the fork saves a state of its own") {
  Caches caches({.bytes_max = 12 * 4096});
  auto parent = caches.live_session();
  must(caches.store->append(*parent, notes(2, 3)));
  const auto parent_id = parent->session();
  MadeUpState state(made_up_tokens(300));
  save(*caches.cache, parent_id, state);
  auto fork = must(caches.store->fork(parent_id, 2));
  parent.reset();
  for (int i = 1; i < 8; ++i) {
    MadeUpState other(made_up_tokens(300 + static_cast<size_t>(i)));
    save(*caches.cache, "s_" + std::to_string(i), other, static_cast<uint8_t>(1 + i));
  }
  CHECK(restored(*caches.cache, state) == 300);
  fork.reset();
  for (int i = 1; i < 8; ++i) {
    MadeUpState other(made_up_tokens(400 + static_cast<size_t>(i)));
    save(*caches.cache, "s_" + std::to_string(i), other, static_cast<uint8_t>(1 + i));
  }
  CHECK(restored(*caches.cache, state) == 0);
}

TEST_CASE("what a live session was found to begin with is not evicted while it uses that") {
  Caches caches({.bytes_max = 12 * 4096});
  MadeUpState state(made_up_tokens(300));
  save(*caches.cache, "s_gone", state);
  const auto live = caches.live_session();
  REQUIRE(caches.cache->find(state.stream(), live->session()).has_value());
  for (int i = 1; i < 8; ++i) {
    MadeUpState other(made_up_tokens(300 + static_cast<size_t>(i)));
    save(*caches.cache, "s_" + std::to_string(i), other, static_cast<uint8_t>(1 + i));
  }
  CHECK(restored(*caches.cache, state) == 300);
}

TEST_CASE("a fork keeps its parent's snapshot when the parent is removed") {
  Caches caches;
  auto parent = caches.live_session();
  const auto id = parent->session();
  MadeUpState state(made_up_tokens(300));
  save(*caches.cache, id, state);
  const auto fork = must(caches.store->fork(id, 1))->session();
  parent.reset();
  must(caches.store->remove(id));
  CHECK(restored(*caches.cache, state) == 300);
  must(caches.store->remove(fork));
  CHECK(restored(*caches.cache, state) == 0);
}

TEST_CASE("several stores of one home save and evict at the same time") {
  Caches caches({.bytes_max = 100 * 4096});
  std::atomic<int> n_wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      auto opened =
          SnapshotStore::open(caches.home(), {.bytes_max = 100 * 4096, .free_bytes_min = 0});
      if (!opened) {
        ++n_wrong;
        return;
      }
      for (int i = 0; i < 25; ++i) {
        // Half of the streams are common to all.
        MadeUpState state(made_up_tokens(200 + 64 * static_cast<size_t>(i % 9),
                                         i % 2 == 0 ? 0 : 100000 * (t + 1) + 1000 * i));
        const auto saved = (*opened)->save("s_" + std::to_string(t), state.stream(), state);
        if (!saved && saved.error().code != ErrorCode::exhausted) ++n_wrong;
        const auto reader = (*opened)->find(state.stream());
        if (!reader) continue;
        for (uint64_t b = 0; b < (*reader)->n_blocks(); ++b) {
          const auto block = (*reader)->block(b);
          if (!block) break;
          const auto expected = state.block_bytes(b);
          if (!std::equal(block->begin(), block->end(), expected.begin(), expected.end())) {
            ++n_wrong;
          }
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(n_wrong == 0);
  caches.reopen();
  const auto usage = caches.cache->usage();
  REQUIRE(usage.has_value());
  CHECK(usage->bytes <= 100 * 4096);
}
