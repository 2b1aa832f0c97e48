// A home on a file system that cannot keep the promises is refused before anything is written to
// it. The linker sends the store's calls of statfs here (--wrap).
#include <dirent.h>
#include <dlfcn.h>
#include <fstream>
#include <optional>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <catch2/catch.hpp>

#include "memory/memory.h"
#include "tests/support/made_up_state.h"
#include "tests/support/temporary_folder.h"

using namespace sable;

namespace {

/// What the kernel says of every file system, while it is set.
struct Pretended {
  uint32_t type = 0;
  bool read_only = false;
};
std::optional<Pretended> pretended;

/// Free bytes that the kernel tells, while it is set.
std::optional<uint64_t> pretended_free;

struct Pretending {
  explicit Pretending(Pretended what) { pretended = what; }
  ~Pretending() { pretended.reset(); }
};

}  // namespace

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
int __real_statfs(const char* path, struct statfs* info);
int __wrap_statfs(const char* path, struct statfs* info) {
  const int code = __real_statfs(path, info);
  if (code != 0 || !pretended) return code;
  if (pretended->type != 0) info->f_type = pretended->type;
  if (pretended->read_only) info->f_flags |= ST_RDONLY;
  return code;
}
int __real_statvfs(const char* path, struct statvfs* info);
int __wrap_statvfs(const char* path, struct statvfs* info) {
  const int code = __real_statvfs(path, info);
  if (code == 0 && pretended_free) info->f_bavail = *pretended_free / info->f_frsize;
  return code;
}
}
// NOLINTEND(bugprone-reserved-identifier)

namespace {
size_t n_names_read = 0;
}

/// The program's own, in front of the C library's: counts.
extern "C" dirent* readdir(DIR* folder) {
  static auto* const real = reinterpret_cast<dirent* (*)(DIR*)>(::dlsym(RTLD_NEXT, "readdir"));
  ++n_names_read;
  return real(folder);
}

TEST_CASE("a home on a network file system is refused by its name, and left as it is") {
  // Numbers of statfs(2).
  const auto [type, name] = GENERATE(table<uint32_t, std::string>({{0x6969, "NFS"},
                                                                   {0xff534d42, "CIFS"},
                                                                   {0xfe534d42, "SMB2"},
                                                                   {0x01021997, "9P"},
                                                                   {0x65735546, "FUSE"}}));
  test::TemporaryFolder folder;
  const Pretending pretending({.type = type});
  const auto store = memory::Store::open(folder / "home");
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == ErrorCode::unsupported);
  CHECK(store.error().message.find(name) != std::string::npos);
  CHECK(store.error().message.find("SABLE_HOME") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "home" / "sable.db"));
}

TEST_CASE("a home on a read-only file system is refused, also where it was written before") {
  test::TemporaryFolder folder;
  REQUIRE(memory::Store::open(folder / "home").has_value());
  const Pretending pretending({.read_only = true});
  const auto store = memory::Store::open(folder / "home");
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == ErrorCode::unsupported);
}

TEST_CASE("where nobody says how much, snapshots take a quarter of what the disk has for them") {
  test::TemporaryFolder folder;
  const auto store = memory::Store::open(folder / "home");
  REQUIRE(store.has_value());
  const auto cache = memory::SnapshotStore::open(folder / "home", {.free_bytes_min = 0});
  REQUIRE(cache.has_value());
  constexpr uint64_t kFree = 200 * 4096;
  pretended_free = kFree;
  for (int i = 0; i < 40; ++i) {
    test::MadeUpState state(test::made_up_tokens(300 + static_cast<size_t>(i)));
    const auto saved = (*cache)->save("s_x", state.stream(static_cast<uint8_t>(1 + i)), state);
    INFO((saved ? "" : saved.error().message));
    CHECK(saved.has_value());
  }
  pretended_free.reset();
  const auto usage = (*cache)->usage();
  REQUIRE(usage.has_value());
  // A quarter of the free space and of what they take themselves.
  CHECK(usage->bytes <= (kFree + usage->bytes) / 4);
  CHECK(usage->bytes > kFree / 8);
}

TEST_CASE("of a folder with very many names no more are read than a checkpoint may hold") {
  test::TemporaryFolder folder;
  const auto root = folder / "root";
  std::filesystem::create_directory(root);
  constexpr size_t kMany = 3000, kMax = 100;
  for (size_t i = 0; i < kMany; ++i) std::ofstream(root / std::to_string(i));
  const auto store = memory::Store::open(folder / "home");
  REQUIRE(store.has_value());
  auto files = memory::FileCheckpoints::open(folder / "home", root, {.n_files_max = kMax});
  REQUIRE(files.has_value());
  n_names_read = 0;
  const auto taken = (*files)->take("s_x");
  CHECK(n_names_read > kMax);
  CHECK(n_names_read < 2 * kMax);
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error().code == ErrorCode::exhausted);
}
