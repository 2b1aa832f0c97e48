// What fits into memory is asked before anything grows, and the answer names what would fit.
#include "inference/engine/memory_budget.h"

#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "inference/inference.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;
using Catch::Matchers::Contains;
using sable::test::TemporaryFolder;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

Result<std::unique_ptr<Engine>> open_bounded(const EngineOptions& options) {
  return Engine::open(sable::test::mini_checkpoint("--layers 4 --ratios 0,4,128,4,0"), options);
}

std::vector<float> logits_of(Engine& engine) {
  const auto sequence = engine.start();
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 60; ++i) ids.push_back(i * 7 % 512);
  REQUIRE(sequence->append(ids));
  Sequence* const one[] = {sequence.get()};
  while (sequence->n_waiting() > 0) REQUIRE(engine.step(one));
  return {sequence->logits().begin(), sequence->logits().end()};
}

/// Bytes that this process held most since the last call (proc(5), VmHWM).
uint64_t peak_resident_bytes() {
  uint64_t kib = 0;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> kib;
  }
  REQUIRE((std::ofstream("/proc/self/clear_refs") << 5 << std::flush));
  return kib * 1024;
}

}  // namespace

TEST_CASE("what can be spared is the least of machine and control groups") {
  const TemporaryFolder root;
  CHECK(available_memory(root.path()) == std::numeric_limits<uint64_t>::max());
  root.write("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    2048 kB\n");
  CHECK(available_memory(root.path()) == 2 * kMiB);
  root.write("proc/self/cgroup", "0::/outer/inner\n");
  CHECK(available_memory(root.path()) == 2 * kMiB);
  root.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  CHECK(available_memory(root.path()) == 2 * kMiB);
  root.write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  root.write("sys/fs/cgroup/outer/inner/memory.current", "5\n");
  CHECK(available_memory(root.path()) == 2 * kMiB);
  root.write("sys/fs/cgroup/outer/memory.max", "1000000\n");
  root.write("sys/fs/cgroup/outer/memory.current", "900000\n");
  CHECK(available_memory(root.path()) == 100000);
  root.write("sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 300000\nfile 2\n");
  CHECK(available_memory(root.path()) == 400000);
  root.write("sys/fs/cgroup/outer/memory.current", "2000000\n");
  CHECK(available_memory(root.path()) == 0);
}

TEST_CASE("control groups of version 1 are asked too") {
  const TemporaryFolder root;
  root.write("proc/meminfo", "MemAvailable: 2048 kB\n");
  root.write("proc/self/cgroup", "5:cpu:/x\n4:hugetlb,memory:/outer/inner\n0::/\n");
  const std::string mount = " /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n";
  root.write("proc/self/mountinfo", "35 31 0:32 /" + mount);
  const std::string memory = "sys/fs/cgroup/memory/";
  root.write(memory + "memory.limit_in_bytes", "9223372036854771712\n");
  root.write(memory + "memory.usage_in_bytes", "5000000\n");
  CHECK(available_memory(root.path()) == 2 * kMiB);
  root.write(memory + "outer/inner/memory.limit_in_bytes", "1000000\n");
  root.write(memory + "outer/inner/memory.usage_in_bytes", "950000\n");
  CHECK(available_memory(root.path()) == 50000);
  root.write(memory + "outer/inner/memory.stat",
             "inactive_file 7\ntotal_inactive_file 150000\ntotal_rss 1\n");
  CHECK(available_memory(root.path()) == 200000);

  // A container whose group is the outermost that it sees.
  root.write("proc/self/cgroup", "4:memory:/docker/0123\n");
  root.write(memory + "memory.limit_in_bytes", "5300000\n");
  for (const char* seen : {"35 31 0:32 /docker/0123", "35 31 0:32 /"}) {
    root.write("proc/self/mountinfo", seen + mount);
    CHECK(available_memory(root.path()) == 300000);
  }
}

TEST_CASE("this machine has some memory to spare") {
  CHECK(available_memory() > kMiB);
  CHECK(available_memory() < uint64_t{1} << 50);
}

TEST_CASE("an engine that does not fit is refused, and told what would fit") {
  EngineOptions options;
  options.n_threads = 1;
  options.memory_bytes_max = kMiB;
  const auto tiny = open_bounded(options);
  REQUIRE(!tiny);
  CHECK(tiny.error().code == ErrorCode::exhausted);
  CHECK_THAT(tiny.error().message,
             Contains("steps of 128 tokens") && Contains("only 1 MiB") && Contains("would fit"));

  options.memory_bytes_max = 64 * kMiB;
  options.cache_bytes_max = 500 * kMiB;
  const auto large = open_bounded(options);
  REQUIRE(!large);
  CHECK(large.error().code == ErrorCode::exhausted);
  CHECK_THAT(large.error().message,
             Contains("caches of 500 MiB") && Contains("64 MiB") && Contains("tokens of context"));

  options.cache_bytes_max = 0;
  const auto fits = open_bounded(options);
  REQUIRE(fits);
  const uint64_t caches = (*fits)->options().cache_bytes_max;
  CHECK(caches == (64 * kMiB - (*fits)->scratch_bytes()) / 2);
  CHECK((*fits)->cache_bytes_for(1000) < caches);
}

TEST_CASE("an engine that does not fit has touched none of what it wants") {
  EngineOptions options;
  options.n_threads = 1;
  options.rows_in_step_max = 8192;
  const auto open = [&](uint64_t memory_bytes) {
    options.memory_bytes_max = memory_bytes;
    peak_resident_bytes();
    const uint64_t before = peak_resident_bytes();  // what it holds now
    const auto engine = open_bounded(options);
    const uint64_t wanted = engine ? (*engine)->scratch_bytes() : 0;
    return std::pair(wanted, peak_resident_bytes() - before);
  };
  open(kMiB);  // whatever is only there once
  const auto [refused, refused_growth] = open(kMiB);
  const auto [wanted, growth] = open(4096 * kMiB);
  REQUIRE(refused == 0);
  REQUIRE(wanted > 64 * kMiB);
  CHECK(growth > wanted / 2);
  CHECK(refused_growth < wanted / 4);
}

TEST_CASE("experts that are given back between uses change no result") {
  EngineOptions options;
  options.n_threads = 2;
  auto all = open_bounded(options);
  options.resident_experts_max = 1;
  auto few = open_bounded(options);
  REQUIRE(all);
  REQUIRE(few);
  CHECK(logits_of(**all) == logits_of(**few));
  CHECK((*few)->resident_weight_bytes());
  CHECK((*few)->weight_file_bytes() > 0);
}
