// What a command may take of the disks that it writes to.
#include "sandbox/launcher/disk_watch.h"

#include <sys/statfs.h>

#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

uint64_t bytes_in(const std::filesystem::path& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

// Ends by itself long before a disk is full.
constexpr const char* kFill =
    "i=0; while [ $i -lt 500 ]; do head -c 4194304 /dev/urandom > f$i; i=$((i+1)); done; echo all";

}  // namespace

TEST_CASE("what may go of a disk ends at the limit, and before the last of what is free") {
  CHECK(disk_allowance(1000, 10, 256) == 10);
  CHECK(disk_allowance(1000, 5000, 256) == 744);
  CHECK(disk_allowance(400, 5000, 256) == 200);
  CHECK(disk_allowance(0, 5000, 256) == 0);
  CHECK(disk_allowance(1, 5000, 256) == 1);
  CHECK(disk_allowance(UINT64_MAX, UINT64_MAX, 256) == UINT64_MAX - 256);
}

TEST_CASE("a watch finds what a file system has lost, and nothing while it has not") {
  const test::TemporaryFolder folder;
  Plan plan;
  plan.disk_roots = {"/nowhere/at/all", folder.path().string()};
  plan.disk_bytes = uint64_t{1} << 60;
  plan.disk_files = uint64_t{1} << 60;
  CHECK(DiskWatch(plan).watches());
  CHECK(DiskWatch(plan).look().root == -1);
  CHECK_FALSE(DiskWatch(Plan{}).watches());
  struct statfs found {};
  REQUIRE(::statfs(folder.path().c_str(), &found) == 0);
  if (found.f_files == 0) {
    WARN("this file system does not count its files: their limit is not tested here");
    return;
  }
  plan.disk_files = 100;
  const DiskWatch watch(plan);
  for (int i = 0; i < 2000; ++i) folder.write(std::to_string(i), "");
  CHECK(watch.look().root == 1);
  CHECK(watch.look().files);
}

TEST_CASE("a command that fills a writable folder is ended, and told why") {
  test::SandboxRunner runner;
  const auto outcome = runner.shell(kFill, {.limits = {.disk_bytes = 16 * kMiB}});
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::disk_limit);
  CHECK(outcome.output.empty());
  CHECK_THAT(outcome.result->explanation,
             Catch::Contains("lost more than its limit of 16777216 bytes") &&
                 Catch::Contains(runner.folder().path().string()));
  CHECK(bytes_in(runner.folder().path()) < 1500 * kMiB);
  CHECK(runner.run({"true"}).result->exit_code == 0);
}

TEST_CASE("a file without a name fills a disk no better, in a session neither") {
  test::SandboxRunner runner;
  test::SessionRunner session(runner, {.limits = {.disk_bytes = 16 * kMiB}});
  const auto outcome = session.shell(
      "exec 3> f; rm f; i=0; while [ $i -lt 500 ]; do head -c 4194304 /dev/urandom >&3; "
      "i=$((i+1)); done; echo all");
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::disk_limit);
  CHECK(session.run({"true"}).result->exit_code == 0);
}

TEST_CASE("in a transaction the disk of its store is watched") {
  test::SandboxRunner runner;
  const test::TemporaryFolder home;
  REQUIRE(Transaction::create(runner.folder().path(), home / "store"));
  const auto outcome =
      runner.shell(kFill, {.transactions = {{runner.folder().path(), home / "store"}},
                           .limits = {.disk_bytes = 16 * kMiB}});
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::disk_limit);
  CHECK(bytes_in(runner.folder().path()) == 0);
}

TEST_CASE("orphans that die all the time do not keep the watch from looking") {
  test::SandboxRunner runner;
  const std::string storm = "(while :; do (true &); done) & ";
  const auto outcome = runner.shell(storm + kFill, {.limits = {.disk_bytes = 16 * kMiB}});
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::disk_limit);
}
