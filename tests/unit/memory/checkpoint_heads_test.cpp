// The files that name each session's newest file checkpoint: damage to them is named, and put right
// from the log where it knows better, before anything is swept away for them.
#include <fstream>
#include <functional>

#include "base/file.h"
#include "memory/checkpoint_folder.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

/// Two sessions with checkpoints of one directory, the first with two of them, all in the log.
class CheckpointedHome {
 public:
  CheckpointedHome() {
    fs::create_directory(root());
    auto store = open_store(original());
    auto files = FileCheckpoints::open(original(), root());
    REQUIRE(files.has_value());
    const auto keep = [&](Lease& lease, const std::string& content) {
      std::ofstream(root() / "file", std::ios::trunc) << content;
      const auto taken = (*files)->take(lease.session());
      REQUIRE(taken.has_value());
      must(store->append(
          lease, {{"files.checkpointed", Json{{"call_id", "c"}, {"checkpoint", taken->id}}}}));
      return taken->id;
    };
    auto lease = must(store->create_session({.title = "one", .working_directory = root()}));
    session = lease->session();
    checkpoints = {keep(*lease, "first"), keep(*lease, "second")};
    auto other_lease = must(store->create_session({.title = "two", .working_directory = root()}));
    other = other_lease->session();
    other_checkpoint = keep(*other_lease, "third");
  }

  fs::path path() const { return folder_ / "home"; }
  fs::path root() const { return folder_ / "root"; }
  fs::path checkpoint_files() const { return checkpoint_folder(path(), root()); }
  fs::path head() const { return checkpoint_files() / "sessions" / session; }

  /// As it was made.
  void restore() {
    fs::remove_all(path());
    fs::copy(original(), path(), fs::copy_options::recursive);
  }

  std::string session, other;
  std::vector<std::string> checkpoints;  ///< of `session`
  std::string other_checkpoint;

 private:
  fs::path original() const { return folder_ / "original"; }
  TemporaryFolder folder_;
};

/// Everything that was kept can be brought back.
void check_whole(const CheckpointedHome& home) {
  CHECK(check(home.path())->problems == std::vector<std::string>());
  CHECK(read_file(home.head()).value() == home.checkpoints.back());
  auto files = FileCheckpoints::open(home.path(), home.root());
  REQUIRE(files.has_value());
  for (const auto& id : home.checkpoints) CHECK((*files)->check(id).has_value());
  CHECK((*files)->check(home.other_checkpoint).has_value());
}

void damage_and_repair(CheckpointedHome& home, const std::string& how,
                       const std::function<void()>& damage) {
  INFO(how);
  home.restore();
  damage();
  const auto health = check(home.path());
  INFO((health ? "" : health.error().message));
  REQUIRE(health.has_value());
  REQUIRE(health->problems.size() == 1);
  CHECK(health->problems.front().find(home.session) != std::string::npos);
  const auto report = repair(home.path());
  INFO((report ? "" : report.error().message));
  REQUIRE(report.has_value());
  CHECK_FALSE(report->rebuilt);
  CHECK(report->n_heads_restored == 1);
  CHECK(report->n_heads_lost == 0);
  CHECK(report->n_objects_lost == 0);
  check_whole(home);
  CHECK(repair(home.path())->was_sound);
}

void overwrite(const fs::path& file, const std::string& content) {
  std::ofstream(file, std::ios::trunc | std::ios::binary) << content;
}

/// Each `step`-th byte changed in two ways, and each `step`-th length.
void change_bytes(CheckpointedHome& home, size_t step) {
  const auto sound = home.checkpoints.back();
  for (size_t i = 0; i < sound.size(); i += step) {
    for (const char flipped : {'\x01', '\x40'}) {
      auto content = sound;
      content[i] = static_cast<char>(content[i] ^ flipped);
      damage_and_repair(home, "byte " + std::to_string(i) + " is " + content[i],
                        [&] { overwrite(home.head(), content); });
    }
    damage_and_repair(home, std::to_string(i) + " bytes long",
                      [&] { overwrite(home.head(), sound.substr(0, i)); });
  }
}

}  // namespace

TEST_CASE("a damaged name of a session's newest checkpoint is put right from the log") {
  CheckpointedHome home;
  change_bytes(home, 19);
  damage_and_repair(home, "too long", [&] {
    overwrite(home.head(), home.checkpoints.back() + std::string(200, '0'));
  });
}

TEST_CASE("any damaged byte or length of a newest checkpoint's name is put right", "[slow]") {
  CheckpointedHome home;
  change_bytes(home, 1);
}

TEST_CASE("a name of a newest checkpoint that is gone, or something else, is put right") {
  CheckpointedHome home;
  const fs::path head = home.head();
  damage_and_repair(home, "removed", [&] { fs::remove(head); });
  damage_and_repair(home, "a folder", [&] {
    fs::remove(head);
    fs::create_directory(head);
    overwrite(head / "something", "in it");
  });
  damage_and_repair(home, "a link to a sound file", [&] {
    fs::remove(head);
    overwrite(home.path() / "elsewhere", home.checkpoints.back());
    fs::create_symlink(home.path() / "elsewhere", head);
  });
  CHECK(read_file(home.path() / "elsewhere").value() == home.checkpoints.back());
  damage_and_repair(home, "a link to nothing", [&] {
    fs::remove(head);
    fs::create_symlink("nothing", head);
  });
  damage_and_repair(home, "an older checkpoint",
                    [&] { overwrite(head, home.checkpoints.front()); });
  damage_and_repair(home, "another session's", [&] { overwrite(head, home.other_checkpoint); });
  const auto moved = home.path() / "damaged" / "1" / "checkpoints" /
                     home.checkpoint_files().filename() / "sessions" / home.session;
  CHECK(read_file(moved).value() == home.other_checkpoint);
}

TEST_CASE("where the whole folder of names is lost, the log names them all again") {
  CheckpointedHome home;
  home.restore();
  const auto sessions = home.checkpoint_files() / "sessions";
  fs::remove_all(sessions);
  SECTION("gone") {}
  SECTION("a file") { overwrite(sessions, "no folder"); }
  CHECK(check(home.path())->problems.size() == 2);
  CHECK(repair(home.path()).value().n_heads_restored == 2);
  check_whole(home);
}

TEST_CASE("a checkpoint that a process took and died before it told of it is no damage") {
  CheckpointedHome home;
  home.restore();
  auto files = FileCheckpoints::open(home.path(), home.root());
  REQUIRE(files.has_value());
  overwrite(home.root() / "file", "fourth");
  const auto taken = (*files)->take(home.session);
  REQUIRE(taken.has_value());
  files->reset();
  CHECK(repair(home.path())->was_sound);
  CHECK(read_file(home.head()).value() == taken->id);
}

TEST_CASE("a name of a checkpoint that no session of the log has is moved aside and said") {
  CheckpointedHome home;
  home.restore();
  const auto stray = home.checkpoint_files() / "sessions" / "s_stray";
  SECTION("damaged") { overwrite(stray, "damaged"); }
  SECTION("a folder") {
    fs::create_directory(stray);
    overwrite(stray / "something", "in it");
  }
  CHECK(check(home.path())->problems.size() == 1);
  const auto report = repair(home.path()).value();
  CHECK(report.n_heads_restored == 0);
  CHECK(report.n_heads_lost == 1);
  CHECK_FALSE(fs::exists(stray));
  check_whole(home);
}

TEST_CASE("where the newest checkpoint in the log is lost too, the one before it takes its place") {
  CheckpointedHome home;
  home.restore();
  const auto object = home.checkpoint_files() / "objects" / home.checkpoints.back().substr(0, 2) /
                      home.checkpoints.back().substr(2);
  fs::remove(object);
  fs::remove(home.head());
  CHECK(repair(home.path()).value().n_heads_restored == 1);
  CHECK(read_file(home.head()).value() == home.checkpoints.front());
  CHECK(repair(home.path()).value().was_sound);
}
