#include "sandbox/plan_codec.h"

#include <random>

#include <catch2/catch.hpp>

using namespace sable::sandbox;

namespace {

Plan example() {
  Plan plan;
  plan.role = Role::worker;
  plan.user = 65534;
  plan.loopback_up = true;
  plan.view = {{.kind = ViewKind::bind,
                .access = Access::write,
                .target = "/w",
                .source = "/w",
                .device = 0x123456789abcdef0,
                .inode = 7,
                .mode = 0700},
               {.kind = ViewKind::cover_folder, .target = "/w/.git"}};
  plan.memory_bytes = uint64_t{1} << 40;
  plan.disk_roots = {"/w", "/v"};
  plan.disk_bytes = 5;
  plan.disk_files = 6;
  plan.filters = {{{6, 0, 0, 0x7fff0000}}, {}};
  return plan;
}

Execution example_execution() {
  return {.programs = {"/usr/bin/true", "/bin/true"},
          .arguments = {"true", "", "a\nb"},
          .environment = {"A=1"},
          .working_directory = "/w"};
}

}  // namespace

TEST_CASE("a plan comes back from its bytes unchanged") {
  const Plan plan = example();
  const auto back = decode_plan(encode_plan(plan));
  REQUIRE(back);
  CHECK(*back == plan);
  CHECK(decode_plan(encode_plan(Plan{})) == Plan{});
}

TEST_CASE("an execution comes back from its bytes unchanged, and cut short it is refused") {
  auto bytes = encode_execution(example_execution());
  CHECK(decode_execution(bytes) == example_execution());
  CHECK_FALSE(decode_plan(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_execution(std::span(bytes).first(size)));
  }
  bytes.push_back(0);
  CHECK_FALSE(decode_execution(bytes));
}

TEST_CASE("a plan cut short anywhere, or with a byte too many, is refused") {
  auto bytes = encode_plan(example());
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_plan(std::span(bytes).first(size)));
  }
  bytes.push_back(0);
  CHECK_FALSE(decode_plan(bytes));
}

TEST_CASE("a plan with a NUL inside a string is refused") {
  Plan plan = example();
  plan.view[0].source += std::string("\0x", 2);
  CHECK_FALSE(decode_plan(encode_plan(plan)));
}

TEST_CASE("the decoder of plans survives random damage and never makes up a plan out of bounds") {
  const auto good = encode_plan(example());
  std::mt19937 random(20240607);
  for (int round = 0; round < 20000; ++round) {
    auto bytes = good;
    const int n_changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < n_changes; ++i)
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    if (const auto plan = decode_plan(bytes)) {
      CHECK(plan->view.size() <= kViewEntriesMax);
      CHECK(encode_plan(*plan) == bytes);  // exactly one form: nothing was skipped or guessed
    }
  }
}

TEST_CASE("a short message that announces a huge list costs no memory") {
  auto bytes = encode_execution(Execution{});
  bytes[8] = bytes[9] = bytes[10] = bytes[11] = 0xff;  // the count of programs
  CHECK_FALSE(decode_execution(bytes));
}
