#include <ctime>
#include <fstream>
#include <git2.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "memory/checkpoint_folder.h"
#include "memory/memory.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Everything below a folder, links as links, as text that can be compared.
std::map<std::string, std::string> picture_of(const fs::path& root) {
  std::map<std::string, std::string> picture;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const auto path = entry.path().lexically_relative(root).string();
    struct stat info {};
    REQUIRE(::lstat(entry.path().c_str(), &info) == 0);
    if (S_ISLNK(info.st_mode)) {
      picture[path] = "-> " + fs::read_symlink(entry.path()).string();
    } else if (S_ISREG(info.st_mode)) {
      picture[path] = ((info.st_mode & S_IXUSR) != 0 ? "x " : "- ") + text_of(entry.path());
    }
  }
  return picture;
}

class Project {
 public:
  explicit Project(CheckpointLimits limits = {}) : limits_(limits) {
    fs::create_directories(root());
    fs::create_directories(home());
    reopen();
  }
  fs::path root() const { return folder_ / "project"; }
  fs::path home() const { return folder_ / "home"; }
  void reopen() {
    files.reset();
    auto opened = FileCheckpoints::open(home(), root(), limits_);
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened.has_value());
    files = std::move(*opened);
  }
  FileCheckpoint take(const std::string& session = "s_a") {
    auto taken = files->take(session);
    INFO((taken ? "" : taken.error().message));
    REQUIRE(taken.has_value());
    return *taken;
  }
  RestoreReport restore(const std::string& id) {
    auto report = files->restore(id);
    INFO((report ? "" : report.error().message));
    REQUIRE(report.has_value());
    return *report;
  }
  void make_repository() {
    git_libgit2_init();
    git_repository* repository = nullptr;
    REQUIRE(git_repository_init(&repository, root().c_str(), 0) == 0);
    git_repository_free(repository);
    reopen();
  }
  /// Adds a file to the user's index.
  void track(const char* path) {
    git_repository* repository = nullptr;
    git_index* index = nullptr;
    REQUIRE(git_repository_open(&repository, root().c_str()) == 0);
    REQUIRE(git_repository_index(&index, repository) == 0);
    REQUIRE(git_index_add_bypath(index, path) == 0);
    REQUIRE(git_index_write(index) == 0);
    git_index_free(index);
    git_repository_free(repository);
  }
  size_t n_objects() const {
    size_t n = 0;
    for (const auto& entry : fs::recursive_directory_iterator(home() / "checkpoints")) {
      if (entry.is_regular_file() && entry.path().filename().string().size() == 38) ++n;
    }
    return n;
  }

 private:
  TemporaryFolder folder_;
  CheckpointLimits limits_;

 public:
  std::unique_ptr<FileCheckpoints> files;
};

}  // namespace

TEST_CASE("a restored checkpoint makes the files what they were, byte for byte") {
  Project project;
  const auto& root = project.root();
  write(root / "a.txt", "one\r\ntwo\n");
  write(root / "bin" / "tool", "#!/bin/sh\n");
  fs::permissions(root / "bin" / "tool", fs::perms(0755));
  write(root / "deep" / "er" / "file", std::string("\0\1\2", 3));
  write(root / "empty", "");
  fs::create_symlink("a.txt", root / "link");
  fs::create_symlink("nowhere", root / "dangling");
  const auto before = picture_of(root);
  const auto checkpoint = project.take();
  CHECK(checkpoint.n_files == 6);
  CHECK(checkpoint.n_stored == 6);
  CHECK(checkpoint.left_out.empty());

  write(root / "a.txt", "changed");
  fs::remove_all(root / "deep");
  write(root / "new" / "file", "new");
  fs::remove(root / "link");
  write(root / "link", "now a file");
  fs::permissions(root / "bin" / "tool", fs::perms(0644));
  fs::remove(root / "empty");
  fs::create_directory(root / "empty");
  write(root / "empty" / "no more", "x");
  const auto after = picture_of(root);
  const auto undo = project.take();

  SECTION("in the same process") {}
  SECTION("in the next one") { project.reopen(); }
  const auto report = project.restore(checkpoint.id);
  CHECK(report.kept.empty());
  CHECK(picture_of(root) == before);
  CHECK_FALSE(fs::exists(root / "new"));
  project.restore(undo.id);
  CHECK(picture_of(root) == after);
  CHECK(project.restore(undo.id).n_written == 0);
}

TEST_CASE("only what has changed is read and stored again") {
  Project project;
  for (int i = 0; i < 20; ++i) write(project.root() / std::to_string(i), std::to_string(i));
  CHECK(project.take().n_stored == 20);
  ::usleep(60'000);  // stamps that are older than a tick can be trusted
  CHECK(project.take().n_stored <= 20);
  ::usleep(60'000);
  CHECK(project.take().n_stored == 0);
  write(project.root() / "7", "seven");
  CHECK(project.take().n_stored == 1);
}

TEST_CASE("a file that changes twice within a tick of the clock is not taken for unchanged") {
  Project project;
  for (int i = 0; i < 30; ++i) {
    write(project.root() / "file", std::to_string(i % 10));
    const auto first = project.take();
    write(project.root() / "file", std::to_string((i + 1) % 10));
    const auto second = project.take();
    project.restore(first.id);
    CHECK(text_of(project.root() / "file") == std::to_string(i % 10));
    project.restore(second.id);
    CHECK(text_of(project.root() / "file") == std::to_string((i + 1) % 10));
  }
}

TEST_CASE("what Git ignores is neither kept nor touched, but what it tracks is") {
  Project project;
  project.make_repository();
  const auto& root = project.root();
  write(root / ".gitignore", "build/\n*.log\n");
  write(root / "build" / "out", "made");
  write(root / "a.log", "log");
  write(root / "tracked.log", "tracked");
  write(root / "source", "text");
  project.track("tracked.log");
  const auto git_before = text_of(root / ".git" / "index");
  const auto checkpoint = project.take();
  CHECK(checkpoint.n_files == 3);
  write(root / "build" / "out", "made again");
  write(root / "tracked.log", "changed");
  project.restore(checkpoint.id);
  CHECK(text_of(root / "build" / "out") == "made again");
  CHECK(text_of(root / "tracked.log") == "tracked");
  CHECK(text_of(root / ".git" / "index") == git_before);

  SECTION("rules that go are noticed at once") {
    fs::remove(root / ".gitignore");
    CHECK(project.take().n_files == 4);
  }
  SECTION("rules that come are noticed at once") {
    write(root / ".gitignore", "build/\n*.log\nsource\n");
    CHECK(project.take().n_files == 2);
  }
}

TEST_CASE("a file that is ignored now is not overwritten by an older one") {
  Project project;
  project.make_repository();
  const auto& root = project.root();
  write(root / "secret", "old");
  const auto checkpoint = project.take();
  write(root / ".gitignore", "secret\n");
  write(root / "secret", "precious");
  const auto report = project.restore(checkpoint.id);
  REQUIRE(report.kept.size() == 1);
  CHECK(report.kept[0].path == "secret");
  CHECK(text_of(root / "secret") == "precious");
}

TEST_CASE("links are never followed, not in loops and not out of the directory") {
  Project project;
  const auto& root = project.root();
  const auto outside = project.home() / "outside";
  write(outside / "file", "mine");
  fs::create_symlink(".", root / "loop");
  fs::create_directory(root / "folder");
  fs::create_symlink("..", root / "folder" / "up");
  fs::create_symlink(outside, root / "away");
  write(root / "data" / "file", "data");
  const auto checkpoint = project.take();
  CHECK(checkpoint.n_files == 4);
  // Where the checkpoint has a folder there is now a link that leads out.
  fs::remove_all(root / "data");
  fs::create_symlink(outside, root / "data");
  project.restore(checkpoint.id);
  CHECK(text_of(outside / "file") == "mine");
  CHECK_FALSE(fs::is_symlink(root / "data"));
  CHECK(text_of(root / "data" / "file") == "data");
}

TEST_CASE("names that are not UTF-8, devices, sockets and other repositories inside are decided") {
  Project project;
  const auto& root = project.root();
  write(root / "caf\xe9", "latin");
  write(root / "new\nline", "x");
  REQUIRE(::mkfifo((root / "pipe").c_str(), 0600) == 0);
  write(root / "inner" / ".git" / "config", "private");
  write(root / "inner" / "file", "kept");
  const auto checkpoint = project.take();
  CHECK(checkpoint.n_files == 3);
  fs::remove(root / "caf\xe9");
  fs::remove(root / "new\nline");
  write(root / "inner" / ".git" / "config", "changed");
  project.restore(checkpoint.id);
  CHECK(text_of(root / "caf\xe9") == "latin");
  CHECK(text_of(root / "new\nline") == "x");
  CHECK(text_of(root / "inner" / ".git" / "config") == "changed");
  CHECK(fs::exists(fs::symlink_status(root / "pipe")));
}

TEST_CASE("a file of two gigabytes is left out, said, and never touched") {
  Project project;
  const auto& root = project.root();
  write(root / "small", "x");
  {
    write(root / "large", "");
    REQUIRE(::truncate((root / "large").c_str(), off_t{2} << 30) == 0);  // sparse
  }
  const auto checkpoint = project.take();
  REQUIRE(checkpoint.left_out.size() == 1);
  CHECK(checkpoint.left_out[0].path == "large");
  write(root / "small", "y");
  project.restore(checkpoint.id);
  CHECK(text_of(root / "small") == "x");
  CHECK(fs::file_size(root / "large") == uintmax_t{2} << 30);

  SECTION("nor is one that was small at that time") {
    fs::remove(root / "large");
    write(root / "large", "small now");
    const auto small = project.take();
    REQUIRE(::truncate((root / "large").c_str(), off_t{2} << 30) == 0);
    const auto report = project.restore(small.id);
    REQUIRE(report.kept.size() == 1);
    CHECK(fs::file_size(root / "large") == uintmax_t{2} << 30);
  }
}

TEST_CASE("a checkpoint that is given up keeps nothing, and the next one is whole") {
  Project project;
  for (int i = 0; i < 300; ++i) write(project.root() / std::to_string(i), std::to_string(i));
  std::stop_source stop;
  stop.request_stop();
  const auto given_up = project.files->take("s_a", stop.get_token());
  REQUIRE_FALSE(given_up.has_value());
  CHECK(given_up.error().code == ErrorCode::cancelled);
  const auto checkpoint = project.take();
  CHECK(checkpoint.n_files == 300);
  write(project.root() / "7", "changed");
  REQUIRE(project.files->restore(checkpoint.id).has_value());
  CHECK(text_of(project.root() / "7") == "7");
}

TEST_CASE(
    "a directory with too many files, or too many new bytes, gets no checkpoint and says so") {
  Project project({.n_files_max = 10, .new_bytes_max = 1000});
  for (int i = 0; i < 10; ++i) write(project.root() / std::to_string(i), "x");
  const auto checkpoint = project.take();
  write(project.root() / "one more", "x");
  const auto refused = project.files->take("s_a");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::exhausted);
  CHECK_FALSE(project.files->restore(checkpoint.id).has_value());
  fs::remove(project.root() / "one more");
  write(project.root() / "0", std::string(1001, 'x'));
  CHECK_FALSE(project.files->take("s_a").has_value());
}

TEST_CASE("what cannot be read is left out and said") {
  if (::geteuid() == 0) return;  // root reads everything
  Project project;
  write(project.root() / "closed", "x");
  fs::permissions(project.root() / "closed", fs::perms(0));
  const auto checkpoint = project.take();
  REQUIRE(checkpoint.left_out.size() == 1);
}

TEST_CASE("a damaged object stops a restore before anything is changed") {
  Project project;
  write(project.root() / "a", "first content");
  write(project.root() / "b", "second content");
  const auto checkpoint = project.take();
  write(project.root() / "a", "changed");
  write(project.root() / "b", "changed");
  project.take();
  enum class Damage { gone, changed, cut_short, emptied };
  const auto damage = GENERATE(Damage::gone, Damage::changed, Damage::cut_short, Damage::emptied);
  size_t n_stopped = 0;
  for (const auto& entry : fs::recursive_directory_iterator(project.home() / "checkpoints")) {
    if (!entry.is_regular_file() || entry.path().filename().string().size() != 38) continue;
    const auto sound = text_of(entry.path());
    fs::remove(entry.path());
    auto damaged = sound;
    if (damage == Damage::changed) {
      damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x40);
    } else {
      damaged.resize(damage == Damage::cut_short ? damaged.size() / 2 : 0);
    }
    if (damage != Damage::gone) write(entry.path(), damaged);
    project.reopen();
    const auto report = project.files->restore(checkpoint.id);
    if (report) {
      CHECK(text_of(project.root() / "a") == "first content");
      CHECK(text_of(project.root() / "b") == "second content");
    } else {
      ++n_stopped;
      CHECK(text_of(project.root() / "a") == "changed");
      CHECK(text_of(project.root() / "b") == "changed");
    }
    fs::remove(entry.path());
    write(entry.path(), sound);
    write(project.root() / "a", "changed");
    write(project.root() / "b", "changed");
  }
  CHECK(n_stopped >= 5);  // commit, two trees, two files
}

TEST_CASE("forgetting a session frees what only it needed; a fork keeps what it shares") {
  Project project;
  write(project.root() / "a", "one");
  const auto first = project.take("s_a");
  REQUIRE(share_checkpoints(project.home(), project.root(), "s_a", "s_fork"));
  write(project.root() / "a", "two");
  const auto second = project.take("s_a");
  const size_t n_before = project.n_objects();
  project.files.reset();  // nobody is writing
  REQUIRE(forget_checkpoints(project.home(), project.root(), "s_a"));
  CHECK(project.n_objects() < n_before);
  project.reopen();
  CHECK_FALSE(project.files->restore(second.id).has_value());
  project.restore(first.id);
  CHECK(text_of(project.root() / "a") == "one");
  project.files.reset();
  REQUIRE(forget_checkpoints(project.home(), project.root(), "s_fork"));
  CHECK(project.n_objects() == 0);
  REQUIRE(forget_checkpoints(project.home(), project.root(), "s_never"));
}

TEST_CASE("a name that is no checkpoint of this store is not found") {
  Project project;
  for (const std::string& id :
       {std::string("nonsense"), std::string(40, 'a'), std::string(41, 'a'), std::string()}) {
    const auto report = project.files->restore(id);
    REQUIRE_FALSE(report.has_value());
    CHECK((report.error().code == ErrorCode::not_found ||
           report.error().code == ErrorCode::invalid_input));
  }
}

TEST_CASE("a hundred thousand files take a bounded time", "[slow]") {
  Project project({.n_files_max = 150'000});
  for (int i = 0; i < 100'000; ++i) {
    const auto folder = project.root() / std::to_string(i / 1000);
    if (i % 1000 == 0) fs::create_directories(folder);
    std::ofstream(folder / std::to_string(i)) << i;
  }
  const auto checkpoint = project.take();
  CHECK(checkpoint.n_files == 100'000);
  ::usleep(60'000);
  project.take();
  ::usleep(60'000);
  // Of the processor, so that a busy machine changes nothing.
  const std::clock_t start = std::clock();
  write(project.root() / "7" / "7000", "changed");
  CHECK(project.take().n_stored == 1);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  WARN(seconds << " s of the processor for one changed file among 100,000");
  CHECK(seconds < 5);
}
