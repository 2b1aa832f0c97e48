// Saving and finding snapshots while another operation fails each time: what comes back is what was
// saved or nothing, and the next start is clean.
#include <iostream>

#include "tests/fault/memory/faults.h"
#include "tests/support/daily_slice.h"
#include "tests/support/made_up_state.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

constexpr int kSaves = 6;
constexpr uint64_t kBudget = 30 * 4096;

MadeUpState state_of(int number) {
  // Two conversations that grow in turns, with a common beginning.
  auto tokens = made_up_tokens(200 + 90 * static_cast<size_t>(number));
  if (number % 2 == 1) {
    for (size_t i = 150; i < tokens.size(); ++i) tokens[i] += 50000;
  }
  return MadeUpState(std::move(tokens));
}

/// Tokens found; what is found is compared byte for byte.
uint64_t found(SnapshotStore& cache, const MadeUpState& state) {
  const auto reader = cache.find(state.stream());
  if (!reader) return 0;
  for (uint64_t i = 0; i < (*reader)->n_blocks(); ++i) {
    const auto block = (*reader)->block(i);
    if (!block) return 0;
    const auto expected = state.block_bytes(i);
    REQUIRE(std::equal(block->begin(), block->end(), expected.begin(), expected.end()));
  }
  const auto position = (*reader)->position();
  if (!position) return 0;
  const auto expected = state.position_bytes((*reader)->n_tokens());
  REQUIRE(std::equal(position->begin(), position->end(), expected.begin(), expected.end()));
  return (*reader)->n_tokens();
}

/// Which saves were acknowledged.
std::vector<int> run_snapshot_script(const fs::path& home) {
  std::vector<int> saved;
  for (int start = 0; start < 2; ++start) {
    auto cache = SnapshotStore::open(home, {.bytes_max = kBudget, .free_bytes_min = 0});
    if (!cache) continue;
    for (int number = start * kSaves / 2; number < (start + 1) * kSaves / 2; ++number) {
      auto state = state_of(number);
      if ((*cache)->save("s_" + std::to_string(number % 2), state.stream(), state)) {
        saved.push_back(number);
      }
      (void)found(**cache, state);
    }
    (void)(*cache)->forget("s_9");
  }
  return saved;
}

/// `may_be_missed`: what is missing then costs a computation, as what cannot be read does.
void verify(const fs::path& home, const std::vector<int>& saved, bool may_be_missed) {
  auto cache = SnapshotStore::open(home, {.bytes_max = kBudget, .free_bytes_min = 0});
  INFO((cache ? "" : cache.error().message));
  REQUIRE(cache.has_value());
  for (int number = 0; number < kSaves; ++number) {
    const auto state = state_of(number);
    const uint64_t n = found(**cache, state);
    const bool acknowledged = std::find(saved.begin(), saved.end(), number) != saved.end();
    if (acknowledged && !may_be_missed) CHECK(n == state.tokens().size());
  }
  for (int number = 0; number < kSaves; ++number) {
    auto state = state_of(number);
    CHECK((*cache)->save("s_1", state.stream(), state));
    CHECK(found(**cache, state) == state.tokens().size());
  }
  const auto usage = (*cache)->usage();
  REQUIRE(usage.has_value());
  CHECK(usage->bytes <= kBudget);
}

bool run_with_snapshot_fault(FaultKind kind, size_t at, bool lasting) {
  INFO("operation " << at << (lasting ? " and all after it" : ""));
  TemporaryFolder folder;
  const fs::path home = folder / "home";
  open_store(home).reset();
  const bool power = kind == FaultKind::power_loss;
  faults().watch(folder.path());
  faults().arm(kind, at, lasting || power);
  const auto saved = run_snapshot_script(home);
  const bool struck = faults().struck();
  if (!power) {
    const bool unreadable = faults().struck_a_read();
    faults().disarm();
    verify(home, saved, unreadable);
    return struck;
  }
  faults().disarm();
  for (const unsigned seed : {0u, static_cast<unsigned>(at) + 1}) {
    INFO("seed " << seed);
    const fs::path image = folder / ("image" + std::to_string(seed));
    faults().write_crash_image(home, image, seed);
    verify(image, saved, true);
  }
  return struck;
}

/// Operations of this kind in the script, when none of them fails.
size_t count_snapshot_operations(FaultKind kind) {
  TemporaryFolder folder;
  open_store(folder / "home").reset();
  faults().watch(folder.path());
  faults().arm(kind, SIZE_MAX, /*lasting=*/false);
  run_snapshot_script(folder / "home");
  faults().disarm();
  return faults().n_operations();
}

void run_every_snapshot_fault(FaultKind kind, bool lasting, const Slice& slice) {
  const size_t n_existing = count_snapshot_operations(kind);
  const Coverage coverage{
      slice.for_each(n_existing,
                     [&](size_t at) { return run_with_snapshot_fault(kind, at, lasting); }),
      n_existing};
  std::cout << "snapshot faults, " << name_of(kind) << (lasting ? ", lasting" : "") << ": "
            << coverage << "\n";
  CHECK(coverage.n_covered > 0);
}

void run_all_snapshot_faults(const Slice& slice) {
  run_every_snapshot_fault(FaultKind::disk_full, false, slice);
  run_every_snapshot_fault(FaultKind::disk_full, true, slice);
  run_every_snapshot_fault(FaultKind::io_error, false, slice);
  run_every_snapshot_fault(FaultKind::io_error, true, slice);
  run_every_snapshot_fault(FaultKind::short_write, false, slice);
  run_every_snapshot_fault(FaultKind::power_loss, true, slice);
}

}  // namespace

TEST_CASE("a snapshot that a fault or a power loss meets is whole or missed") {
  run_all_snapshot_faults(Slice::fixed(23));
  run_every_snapshot_fault(FaultKind::no_memory, false, Slice::fixed(1999));
}

TEST_CASE("a fault at every operation on snapshots gives no wrong answer", "[slow]") {
  run_all_snapshot_faults(Slice::fixed(1));
  run_every_snapshot_fault(FaultKind::no_memory, false, Slice::of_the_day(53));
}
