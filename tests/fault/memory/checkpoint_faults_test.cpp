// File checkpoints while another operation fails each time, libgit2's own among them: what was
// acknowledged can be restored, and the next start is clean.
#include <fstream>
#include <iostream>

#include "base/file.h"
#include "memory/checkpoint_folder.h"
#include "tests/fault/memory/faults.h"
#include "tests/support/daily_slice.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

using Files = std::map<std::string, std::string>;

/// Enough new ones at once that they are not synced one by one.
constexpr int kManyFiles = 70;

Files files_of(int number) {
  Files files{{"constant", "the same"}, {"changes", "content " + std::to_string(number)}};
  if (number == 1) files["below/new"] = "new";
  for (int i = 0; number >= 2 && i < kManyFiles; ++i) {
    files["many/" + std::to_string(i)] = std::to_string(number * 1000 + i);
  }
  return files;
}

void write_files(const fs::path& root, const Files& files) {
  fs::remove_all(root);
  for (const auto& [name, content] : files) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << content;
  }
}

/// What the outside world was told.
struct Told {
  std::string session;
  std::vector<std::pair<std::string, Files>> checkpoints;  ///< without what was left out
  bool exported = false;
};

/// Written before the faults begin: the user's files are not what is tested.
struct Place {
  fs::path home, root, file;
};

bool is_clear(const Error& error) {
  return error.code == ErrorCode::io || error.code == ErrorCode::exhausted ||
         error.code == ErrorCode::corrupt || error.code == ErrorCode::not_found;
}

Told run_checkpoint_script(const Place& place, FaultKind kind, size_t at, bool lasting) {
  Told told;
  std::vector<std::string> errors;
  const auto succeeded = [&](const auto& result) {
    if (!result && !is_clear(result.error())) errors.push_back(result.error().message);
    return result.has_value();
  };
  const auto take = [&](int number) {
    auto files = FileCheckpoints::open(place.home, place.root);
    if (!succeeded(files)) return;
    const auto taken = (*files)->take(told.session);
    if (!succeeded(taken)) return;
    Files kept = files_of(number);
    for (const auto& one : taken->left_out) kept.erase(one.path);
    told.checkpoints.emplace_back(taken->id, std::move(kept));
  };
  write_files(place.root, files_of(0));
  faults().watch(place.home.parent_path());
  faults().arm(kind, at, lasting);
  {
    auto store = Store::open(place.home);
    if (!succeeded(store)) return told;
    auto lease = await((*store)->create_session({.title = "x", .working_directory = place.root}));
    if (!succeeded(lease)) return told;
    told.session = (*lease)->session();
    for (int number = 0; number < 3; ++number) {
      // The user's own writes are none of the store's.
      const auto armed = faults().pause();
      write_files(place.root, files_of(number));
      faults().go_on(armed);
      take(number);
    }
    auto fork = await((*store)->fork(told.session, 1));
    if (succeeded(fork)) {
      const auto id = (*fork)->session();
      fork->reset();
      succeeded(await((*store)->remove(id)));
    }
    told.exported = succeeded(await((*store)->export_session(told.session, place.file)));
    succeeded(await((*store)->import_session(place.file)));
  }
  CHECK(errors == std::vector<std::string>());
  return told;
}

void verify(const Place& place, const Told& told, bool power_was_lost) {
  auto store = open_store(place.home);
  const auto health = check(place.home);
  REQUIRE(health.has_value());
  CHECK(health->problems == std::vector<std::string>());
  auto files = FileCheckpoints::open(place.home, place.root);
  REQUIRE(files.has_value());
  for (const auto& [id, kept] : told.checkpoints) {
    INFO("checkpoint " << id);
    const auto restored = (*files)->restore(id);
    INFO((restored ? "" : restored.error().message));
    REQUIRE(restored.has_value());
    for (const auto& [name, content] : kept) {
      const auto now = read_file(place.root / name);
      REQUIRE(now.has_value());
      CHECK(*now == content);
    }
  }
  if (!told.session.empty()) REQUIRE((*files)->take(told.session).has_value());
  if (!told.exported || power_was_lost) return;
  TemporaryFolder other;
  auto target = open_store(other.path());
  must(target->import_session(place.file));
}

bool run_with_checkpoint_fault(FaultKind kind, size_t at, bool lasting) {
  INFO("operation " << at << (lasting ? " and all after it" : ""));
  TemporaryFolder folder;
  const Place place{folder / "home", folder / "root", folder / "exported"};
  const bool power = kind == FaultKind::power_loss;
  const auto told = run_checkpoint_script(place, kind, at, lasting || power);
  const bool struck = faults().struck();
  faults().disarm();
  if (!power) {
    verify(place, told, false);
    return struck;
  }
  for (const unsigned seed : {0u, static_cast<unsigned>(at) + 1}) {
    INFO("seed " << seed);
    Place image = place;
    image.home = folder / ("image" + std::to_string(seed));
    faults().write_crash_image(place.home, image.home, seed);
    verify(image, told, true);
  }
  return struck;
}

void run_every_checkpoint_fault(FaultKind kind, bool lasting, const Slice& slice) {
  size_t n_existing = 0;
  {
    TemporaryFolder folder;
    run_checkpoint_script({folder / "home", folder / "root", folder / "exported"}, kind, SIZE_MAX,
                          false);
    faults().disarm();
    n_existing = faults().n_operations();
  }
  const Coverage coverage{
      slice.for_each(n_existing,
                     [&](size_t at) { return run_with_checkpoint_fault(kind, at, lasting); }),
      n_existing};
  std::cout << "file checkpoint faults, " << name_of(kind) << (lasting ? ", lasting" : "") << ": "
            << coverage << "\n";
  CHECK(coverage.n_covered > 0);
}

void run_all_checkpoint_faults(size_t stride) {
  const auto slice = [&] { return stride == 0 ? Slice::of_the_day(5) : Slice::fixed(stride); };
  run_every_checkpoint_fault(FaultKind::disk_full, false, slice());
  run_every_checkpoint_fault(FaultKind::disk_full, true, slice());
  run_every_checkpoint_fault(FaultKind::io_error, false, slice());
  run_every_checkpoint_fault(FaultKind::io_error, true, slice());
  run_every_checkpoint_fault(FaultKind::short_write, false, slice());
  run_every_checkpoint_fault(FaultKind::power_loss, true, slice());
}

}  // namespace

TEST_CASE("a file checkpoint that was acknowledged can be restored, whatever failed") {
  run_all_checkpoint_faults(97);
}

TEST_CASE("a fault at every operation on file checkpoints loses none that was acknowledged",
          "[slow]") {
  run_all_checkpoint_faults(0);
}
