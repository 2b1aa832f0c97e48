// A repair of a damaged home runs again and again; each time another operation fails. The next one
// finishes it: what the undisturbed repair keeps is kept, and the damaged files are still there.
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

void overwrite(const fs::path& file, const std::string& content) {
  std::ofstream(file, std::ios::trunc | std::ios::binary) << content;
}

/// A home whose database, kept output and name of a newest file checkpoint are damaged.
class DamagedHome {
 public:
  DamagedHome() {
    fs::create_directory(root());
    {
      auto store = open_store(path());
      auto lease = must(store->create_session({.title = "x", .working_directory = root()}));
      session = lease->session();
      auto files = FileCheckpoints::open(path(), root());
      REQUIRE(files.has_value());
      const auto taken = (*files)->take(session);
      REQUIRE(taken.has_value());
      newest = taken->id;
      const auto locator = must(store->put_blob("content"));
      blob = locator.substr(locator.rfind(':') + 1);
      must(store->append(*lease, {{"files.checkpointed", Json{{"checkpoint", newest}}},
                                  {"note.added", Json{{"blob", locator}}}}));
      for (int i = 0; i < 40; ++i) must(store->append(*lease, notes(i, i)));
    }
    overwrite(head_in(path()), "");
    overwrite(path() / "blobs" / blob.substr(0, 2) / blob, "damaged");
    database = read_file(path() / "sable.db").value();
    const auto at = database.find("\"number\":37");
    REQUIRE(at != std::string::npos);
    database[at + 1] = 'X';
    overwrite(path() / "sable.db", database);
  }
  fs::path path() const { return folder_ / "home"; }
  fs::path head_in(const fs::path& home) const {
    return checkpoint_folder(home, root()) / "sessions" / session;
  }

  std::string session, newest, blob;
  std::string database;  ///< its bytes, damaged

 private:
  fs::path root() const { return folder_ / "root"; }
  TemporaryFolder folder_;
};

/// Whether one of the folders of damaged files has this one, with this content.
bool is_kept_aside(const fs::path& home, const fs::path& name, const std::string& content) {
  for (const auto& folder : fs::directory_iterator(home / "damaged")) {
    const auto kept = read_file(folder.path() / name);
    if (kept && *kept == content) return true;
  }
  return false;
}

void repair_and_verify(const fs::path& home, const DamagedHome& damaged) {
  const auto report = repair(home);
  INFO((report ? "" : report.error().message));
  REQUIRE(report.has_value());
  CHECK(check(home).value().problems == std::vector<std::string>());
  CHECK(is_kept_aside(home, "sable.db", damaged.database));
  CHECK(is_kept_aside(home, fs::path("blobs") / damaged.blob, "damaged"));
  CHECK(read_file(damaged.head_in(home)).value() == damaged.newest);
  auto store = open_store(home);
  const auto events = must(store->read(damaged.session, 1, 1000));
  // The first one, two with what they name, the notes before number 37; then what repairs tell.
  REQUIRE(events.size() > 3 + 37);
  CHECK(events[3 + 36].data["number"] == 36);
  CHECK(events[3 + 37].type == "session.recovered");
}

/// False when a repair has no operation `at`.
bool run_with_repair_fault(const DamagedHome& damaged, FaultKind kind, size_t at) {
  INFO("operation " << at);
  TemporaryFolder folder;
  const fs::path home = folder / "home";
  fs::copy(damaged.path(), home, fs::copy_options::recursive);
  const bool power = kind == FaultKind::power_loss;
  faults().watch(folder.path());
  faults().arm(kind, at, /*lasting=*/power);
  (void)repair(home);
  const bool struck = faults().struck();
  faults().disarm();
  if (!power) {
    repair_and_verify(home, damaged);
    return struck;
  }
  for (const unsigned seed : {0u, static_cast<unsigned>(at) + 1}) {
    INFO("seed " << seed);
    const fs::path image = folder / ("image" + std::to_string(seed));
    faults().write_crash_image(home, image, seed);
    repair_and_verify(image, damaged);
  }
  return struck;
}

void run_every_repair_fault(const DamagedHome& damaged, FaultKind kind, const Slice& slice) {
  TemporaryFolder folder;
  fs::copy(damaged.path(), folder / "home", fs::copy_options::recursive);
  faults().watch(folder.path());
  faults().arm(kind, SIZE_MAX, /*lasting=*/false);
  REQUIRE(repair(folder / "home").has_value());
  faults().disarm();
  const size_t n_existing = faults().n_operations();
  const Coverage coverage{
      slice.for_each(n_existing,
                     [&](size_t at) { return run_with_repair_fault(damaged, kind, at); }),
      n_existing};
  std::cout << "repair faults, " << name_of(kind) << ": " << coverage << "\n";
  CHECK(coverage.n_covered > 0);
}

}  // namespace

TEST_CASE("a repair that a fault or a power loss meets is finished by the next one") {
  const DamagedHome damaged;
  run_every_repair_fault(damaged, FaultKind::power_loss, Slice::fixed(71));
  run_every_repair_fault(damaged, FaultKind::io_error, Slice::fixed(165));
  run_every_repair_fault(damaged, FaultKind::disk_full, Slice::fixed(77));
}

TEST_CASE("a fault at every operation of a repair loses nothing that it keeps", "[slow]") {
  const DamagedHome damaged;
  run_every_repair_fault(damaged, FaultKind::power_loss, Slice::fixed(1));
  run_every_repair_fault(damaged, FaultKind::io_error, Slice::of_the_day(5));
  run_every_repair_fault(damaged, FaultKind::disk_full, Slice::fixed(1));
}
