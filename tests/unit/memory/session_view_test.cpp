#include "memory/session_view.h"

#include <catch2/catch.hpp>

#include "memory/event_record.h"
#include "memory/session_id.h"

using namespace sable;
using namespace sable::memory;

namespace {

SessionView after(std::vector<NewEvent> events) {
  SessionView view;
  Seq seq = 0;
  for (auto& event : events) {
    apply_event(view, {"s", ++seq, WallTime{}, event.type, 1, event.data}, Digest{},
                dump_json(event.data).size());
  }
  return view;
}

}  // namespace

TEST_CASE("turns and endings set the status") {
  CHECK(after({{"session.started", {}}}).status == "idle");
  CHECK(after({{"turn.started", {}}}).status == "running");
  CHECK(after({{"turn.started", {}}, {"turn.ended", {{"status", "finished"}}}}).status == "idle");
  CHECK(
      after({{"turn.started", {}}, {"turn.ended", {{"status", "failed"}}}, {"turn.continued", {}}})
          .status == "running");
  CHECK(after({{"turn.ended", {{"status", "failed"}}}}).status == "failed");
  CHECK(after({{"turn.ended", {{"status", "interrupted"}}}}).status == "interrupted");
  CHECK(after({{"turn.ended", {{"status", "odd"}}}}).status == "idle");
  CHECK(after({{"turn.started", {}}, {"from.the_future", {{"status", "x"}}}}).status == "running");
}

TEST_CASE("tokens are summed, and nonsense in their place is ignored") {
  const auto usage = [](Json input) {
    return NewEvent{"turn.ended", {{"usage", {{"input_tokens", std::move(input)}}}}};
  };
  CHECK(after({usage(5), usage(7)}).input_tokens == 12);
  CHECK(after({usage(-5), usage("7"), usage(1.5), usage(nullptr)}).input_tokens == 0);
  CHECK(after({{"turn.ended", {{"usage", 3}}}, {"turn.ended", Json::array()}}).input_tokens == 0);
  const auto huge = after({usage(UINT64_MAX), usage(UINT64_MAX)});
  CHECK(huge.input_tokens == static_cast<uint64_t>(INT64_MAX));
}

TEST_CASE("a session's names sort by time and are short") {
  using namespace std::chrono_literals;
  const WallTime now{1'760'000'000s};
  const auto id = make_session_id(now);
  CHECK(id.size() == 12);
  CHECK(may_be_session_id(id));
  CHECK(make_session_id(now + 1s) > id);
  CHECK(make_session_id(now + std::chrono::years(100)) > id);
  CHECK(make_session_id(WallTime{}) < id);
  CHECK(!may_be_session_id("../x"));
}

TEST_CASE("every field of an event changes its hash") {
  const Digest start{};
  const auto base = chain_hash(start, 1, "a.b", 1, WallTime{}, "{}");
  Digest other = start;
  other[31] = 1;
  CHECK(chain_hash(other, 1, "a.b", 1, WallTime{}, "{}") != base);
  CHECK(chain_hash(start, 2, "a.b", 1, WallTime{}, "{}") != base);
  CHECK(chain_hash(start, 1, "a.c", 1, WallTime{}, "{}") != base);
  CHECK(chain_hash(start, 1, "a.b", 2, WallTime{}, "{}") != base);
  CHECK(chain_hash(start, 1, "a.b", 1, WallTime(std::chrono::milliseconds(1)), "{}") != base);
  CHECK(chain_hash(start, 1, "a.b", 1, WallTime{}, "{ }") != base);
}

TEST_CASE("the hash of an event is the SHA-256 that the documentation describes") {
  // Python: sha256(bytes(32) + q(1) + q(3) + b"a.b" + q(1) + q(2) + b"{}"), q = 8 bytes
  // little-endian.
  const auto hash = chain_hash(Digest{}, 1, "a.b", 1, WallTime(std::chrono::milliseconds(2)), "{}");
  CHECK(to_hex(hash) == "9b86703c4572df4b4bc1945d334513e5b8a5d77dc69f84289e37ad163cfdccba");
}

TEST_CASE("locators of blobs are found anywhere in an event") {
  const std::string a(64, 'a'), b(64, 'b');
  const auto found =
      blob_digests_in("{\"x\":\"blob:sha256:" + a + "\",\"y\":\"see blob:sha256:" + b +
                      " and blob:sha256:" + a + ", blob:sha256:12\"}");
  CHECK(found == std::vector<std::string>{a, b});
}
