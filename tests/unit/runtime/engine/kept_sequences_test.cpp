// What a scheduler keeps on disk: the next process reads it instead of computing it again, and what
// is damaged costs time, never another token.
#include <fstream>

#include <catch2/catch.hpp>

#include "runtime/engine/scheduler.h"
#include "tests/support/babbling_checkpoint.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::runtime;
using inference::TokenId;
using test::run;

namespace fs = std::filesystem;

namespace {

/// One process after another over one home.
class Processes {
 public:
  Processes() { REQUIRE(memory::Store::open(home())); }
  fs::path home() const { return folder_ / "home"; }

  /// One turn of `session` in a process of its own, from the prompt on.
  TokenReply turn(const std::string& session, std::vector<TokenId> prompt) const {
    const auto snapshots = memory::SnapshotStore::open(home(), {.free_bytes_min = 0});
    REQUIRE(snapshots);
    return turn_with(snapshots->get(), session, std::move(prompt));
  }
  TokenReply turn_without_snapshots(std::vector<TokenId> prompt) const {
    return turn_with(nullptr, "s_none", std::move(prompt));
  }

  std::vector<fs::path> segments() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(home() / "cache")) {
      if (entry.path().extension() == ".segment") files.push_back(entry.path());
    }
    return files;
  }

 private:
  static TokenReply turn_with(memory::SnapshotStore* snapshots, const std::string& session,
                              std::vector<TokenId> prompt) {
    const auto scheduler = Scheduler::open(test::babbling_model(), {.n_threads = 1}, snapshots);
    REQUIRE(scheduler);
    const auto stream = (*scheduler)->start();
    TokenRequest request;
    request.session = session;
    request.prompt = std::move(prompt);
    request.n_tokens_max = 10;
    request.sampling.seed = 3;
    auto reply = run(stream->generate(std::move(request), [](std::span<const TokenId>) {}));
    REQUIRE(reply);
    stream->rest();
    return std::move(*reply);
  }

  test::TemporaryFolder folder_;
};

std::vector<TokenId> prompt_of(size_t n) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(static_cast<TokenId>((i * 37 + i / 7) % 250 + 3));
  return ids;
}

std::vector<TokenId> continued(std::vector<TokenId> prompt, const TokenReply& reply) {
  prompt.insert(prompt.end(), reply.tokens.begin(), reply.tokens.end());
  for (TokenId id = 20; id < 60; ++id) prompt.push_back(id);
  return prompt;
}

}  // namespace

TEST_CASE("a session that goes on in another process reads what it had computed") {
  const Processes processes;
  const auto first = processes.turn("s_a", prompt_of(400));
  CHECK(first.n_cached == 0);
  const auto next = continued(prompt_of(400), first);
  const auto second = processes.turn("s_a", next);
  // All but the last token of the reply, which nothing was asked behind, had been processed.
  CHECK(second.n_cached >= 400 + first.tokens.size() - 1);
  CHECK(second.tokens == processes.turn_without_snapshots(next).tokens);
  SECTION("and a third time, from the longer one") {
    const auto last = continued(next, second);
    const auto third = processes.turn("s_a", last);
    CHECK(third.n_cached >= next.size() + second.tokens.size() - 1);
    CHECK(third.tokens == processes.turn_without_snapshots(last).tokens);
  }
  SECTION("another session with the same beginning shares it") {
    CHECK(processes.turn("s_b", next).n_cached >= 400);
  }
  SECTION("one that differs in an early token computes again") {
    auto other = next;
    other[10] = 77;
    const auto reply = processes.turn("s_a", other);
    CHECK(reply.n_cached == 0);
    CHECK(reply.tokens == processes.turn_without_snapshots(other).tokens);
  }
}

TEST_CASE("a damaged snapshot costs a prefill and gives the same tokens") {
  const Processes processes;
  const auto first = processes.turn("s_a", prompt_of(400));
  const auto next = continued(prompt_of(400), first);
  const auto whole = processes.turn_without_snapshots(next).tokens;
  const auto files = processes.segments();
  REQUIRE(files.size() == 1);
  SECTION("a flipped bit") {
    std::fstream stream(files[0], std::ios::binary | std::ios::in | std::ios::out);
    stream.seekp(5000);
    stream.put('\x55');
    stream.seekp(100);
    stream.put('\x55');
  }
  SECTION("cut off") { fs::resize_file(files[0], 4096); }
  SECTION("gone") { fs::remove(files[0]); }
  const auto second = processes.turn("s_a", next);
  CHECK(second.n_cached == 0);
  CHECK(second.tokens == whole);
  CHECK(processes.turn("s_a", continued(next, second)).n_cached > next.size());  // stored anew
}

TEST_CASE("what belongs to no session is not kept") {
  const Processes processes;
  const auto first = processes.turn("", prompt_of(400));
  CHECK(processes.segments().empty());
  CHECK(processes.turn("", continued(prompt_of(400), first)).n_cached == 0);
}
