#include "sandbox/memory_cgroup.h"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <set>
#include <sstream>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "sandbox/launcher_process.h"
#include "sandbox/memory_file.h"
#include "sandbox/plan_codec.h"
#include "sandbox/planner.h"
#include "sandbox/seccomp_filter.h"
#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using sable::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

/// A line of mountinfo.
std::string mounted(const std::string& root, const fs::path& point, const std::string& type,
                    const std::string& options) {
  return "36 25 0:30 " + root + " " + point.string() + " rw,nosuid shared:9 - " + type +
         " cgroup " + options + "\n";
}

const std::string kOtherMounts =
    "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "26 25 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "nonsense\n- - -\n";

/// A version 2 hierarchy as files: what the kernel shows in it, at one moment.
class Hierarchy {
 public:
  explicit Hierarchy(const fs::path& top) : top_(top) {}

  void add(const std::string& cgroup, const std::string& handed_on,
           const std::string& limit = "max\n") const {
    const auto folder = top_ / fs::path(cgroup).relative_path();
    fs::create_directories(folder);
    std::ofstream(folder / "cgroup.subtree_control") << handed_on;
    std::ofstream(folder / "cgroup.procs") << "";
    if (folder != top_) std::ofstream(folder / "memory.max") << limit;
  }
  Result<CgroupPlace> place_of(const std::string& own) const {
    return memory_cgroup_place(kOtherMounts + mounted("/", top_, "cgroup2", "rw,nsdelegate"),
                               "0::" + own + "\n");
  }

 private:
  fs::path top_;
};

/// The cgroups of this machine; nothing where it lets us make none.
std::shared_ptr<MemoryCgroups> real_cgroups(fs::path& place) {
  const auto found = memory_cgroup_place();
  if (!found) return nullptr;
  place = found->folder;
  auto groups = MemoryCgroups::open(*found);
  INFO((groups ? "" : groups.error().message));
  return groups ? *groups : nullptr;
}

std::set<std::string> of_ours(const fs::path& place) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(place)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("sable-")) names.insert(name);
  }
  return names;
}

/// Runs `work` in a process of its own; its exit status, or minus the signal.
template <class Work>
int in_child(const Work& work) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(work());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int take_memory(size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t at = 0; at < bytes; at += 4096) static_cast<volatile char*>(memory)[at] = 1;
  return 0;
}

}  // namespace

TEST_CASE("version 1: calls get their cgroups below our own") {
  TemporaryFolder folder;
  fs::create_directories(folder / "memory/user/ours");
  const auto place = [&](const std::string& root, const std::string& own) {
    return memory_cgroup_place(
        kOtherMounts + mounted(root, folder / "memory", "cgroup", "rw,memory"),
        "7:cpu,cpuacct:/elsewhere\n4:memory:" + own + "\n0::/new\n");
  };
  const auto plain = place("/", "/user/ours");
  REQUIRE(plain);
  CHECK(*plain == CgroupPlace{1, folder / "memory/user/ours"});
  // A container sees the middle of the tree under its mount point.
  const auto inside = place("/docker/abc", "/docker/abc/user/ours");
  REQUIRE(inside);
  CHECK(inside->folder == folder / "memory/user/ours");
  CHECK(place("/", "/")->folder == folder / "memory");
  CHECK_FALSE(place("/docker/abc", "/docker/abcd"));
  CHECK_FALSE(place("/", "/../outside"));
  CHECK_FALSE(place("/", "/not/there"));
}

TEST_CASE("mount points with spaces are found") {
  TemporaryFolder folder;
  fs::create_directories(folder / "a b");
  const auto escaped = (folder / "a").string() + "\\040b";
  const auto place =
      memory_cgroup_place(mounted("/", escaped, "cgroup", "rw,memory"), "4:memory:/\n");
  REQUIRE(place);
  CHECK(place->folder == folder / "a b");
}

TEST_CASE("version 2: calls get their cgroups beside ours, where the controller is handed on") {
  TemporaryFolder folder;
  const Hierarchy tree(folder.path());
  tree.add("/", "cpu memory pids\n");
  tree.add("/user.slice", "cpu memory\n");
  tree.add("/user.slice/session.scope", "");
  const auto place = tree.place_of("/user.slice/session.scope");
  REQUIRE(place);
  CHECK(*place == CgroupPlace{2, folder / "user.slice"});
  tree.add("/user.slice", "cpu pids\n");
  CHECK(tree.place_of("/user.slice/session.scope")->folder == folder.path());
  tree.add("/", "cpu memory.not\n");
  CHECK_THAT(tree.place_of("/user.slice/session.scope").error().message,
             Catch::Contains("no cgroup above ours"));
}

TEST_CASE("version 2: a limit that holds for us is not escaped") {
  TemporaryFolder folder;
  const Hierarchy tree(folder.path());
  tree.add("/", "memory\n");
  tree.add("/a", "");
  tree.add("/a/ours", "", "1073741824\n");
  CHECK_THAT(tree.place_of("/a/ours").error().message,
             Catch::Contains("a memory limit of its own"));
  tree.add("/a/ours", "");
  tree.add("/a", "", "1073741824\n");
  CHECK_FALSE(tree.place_of("/a/ours"));
  tree.add("/a", "memory\n", "1073741824\n");
  CHECK(tree.place_of("/a/ours")->folder == folder / "a");
}

TEST_CASE("a machine without a memory controller, and texts that make no sense, are an error") {
  CHECK_FALSE(memory_cgroup_place("", ""));
  CHECK_FALSE(memory_cgroup_place(kOtherMounts, "0::/\n"));
  CHECK_FALSE(memory_cgroup_place(mounted("/", "/nowhere", "cgroup2", "rw"), "0::/\n"));
  CHECK_FALSE(
      memory_cgroup_place("- \\ \\0 \\04\n::\n" + kOtherMounts, "memory\n:memory\n4:memory"));
  for (const char* own : {"4:memory:\n", "4:memory:relative\n"}) {
    CHECK_THAT(
        memory_cgroup_place(mounted("/", "/nowhere", "cgroup", "rw,memory"), own).error().message,
        Catch::Contains("no path"));
  }
}

TEST_CASE("version 2: limit, swap and the group's fate are written, and its count is read") {
  TemporaryFolder folder;
  for (const char* file : {"memory.max", "memory.oom.group", "memory.swap.max"}) {
    folder.write(file, "");
  }
  REQUIRE(write_memory_limit(folder.path(), 2, 1 << 20));
  CHECK(folder.read("memory.max") == "1048576");
  CHECK(folder.read("memory.oom.group") == "1");
  CHECK(folder.read("memory.swap.max") == "0");
  // A kernel without swap accounting has no file for it, and none is made.
  fs::remove(folder / "memory.swap.max");
  CHECK(write_memory_limit(folder.path(), 2, 1 << 20));
  CHECK_FALSE(fs::exists(folder / "memory.swap.max"));
  fs::remove(folder / "memory.oom.group");
  CHECK_FALSE(write_memory_limit(folder.path(), 2, 1 << 20));

  CHECK_FALSE(memory_limit_was_reached(folder.path(), 2));
  folder.write("memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\noom_group_kill 0\n");
  CHECK_FALSE(memory_limit_was_reached(folder.path(), 2));
  folder.write("memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 3\noom_group_kill 1\n");
  CHECK(memory_limit_was_reached(folder.path(), 2));
}

TEST_CASE("version 1: memory and swap together are limited, in this order") {
  TemporaryFolder folder;
  folder.write("memory.limit_in_bytes", "");
  folder.write("memory.memsw.limit_in_bytes", "");
  REQUIRE(write_memory_limit(folder.path(), 1, 1 << 20));
  CHECK(folder.read("memory.limit_in_bytes") == "1048576");
  CHECK(folder.read("memory.memsw.limit_in_bytes") == "1048576");
  folder.write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
  CHECK_FALSE(memory_limit_was_reached(folder.path(), 1));
  folder.write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  CHECK(memory_limit_was_reached(folder.path(), 1));
}

TEST_CASE("a real cgroup holds its limit, sounds its alarm, and is removed") {
  fs::path place;
  auto groups = real_cgroups(place);
  if (!groups) {
    WARN("this machine lets us make no memory cgroups");
    return;
  }
  auto group = groups->make(64 << 20);
  REQUIRE(group);
  const auto folder = (*group)->folder();
  const int entrance = (*group)->entrance();
  CHECK(in_child([&] { return ::write(entrance, "0", 1) == 1 ? take_memory(16 << 20) : 1; }) == 0);
  CHECK_FALSE((*group)->limit_was_reached());
  CHECK(in_child([&] { return ::write(entrance, "0", 1) == 1 ? take_memory(256 << 20) : 1; }) ==
        -SIGKILL);
  CHECK((*group)->limit_was_reached());
  if ((*group)->alarm() >= 0) {
    pollfd alarm{.fd = (*group)->alarm(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&alarm, 1, 1000) == 1);
  }
  group->reset();
  groups->make(1 << 20)->reset();  // what was still ending is removed by now, or with the last
  const auto ours = folder.parent_path();
  groups.reset();
  CHECK_FALSE(fs::exists(folder));
  CHECK_FALSE(fs::exists(ours));
}

TEST_CASE("the next cgroup is made ahead, and one with another limit is not taken for it") {
  fs::path place;
  const auto groups = real_cgroups(place);
  if (!groups) {
    WARN("this machine lets us make no memory cgroups");
    return;
  }
  const auto limit_of = [](const MemoryCgroup& group) {
    const auto version_1 = group.folder() / "memory.limit_in_bytes";
    return *read_file(fs::exists(version_1) ? version_1 : group.folder() / "memory.max", 64);
  };
  auto group = groups->make(64 << 20);
  REQUIRE(group);
  const auto all = (*group)->folder().parent_path();
  bool was_there = false;
  for (int i = 0; i < 500 && !was_there; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(4));
    std::set<fs::path> before;
    for (const auto& entry : fs::directory_iterator(all)) before.insert(entry.path());
    group = groups->make(64 << 20);
    REQUIRE(group);
    was_there = before.count((*group)->folder()) == 1;
  }
  CHECK(was_there);
  CHECK(limit_of(**group) == "67108864\n");
  group = groups->make(32 << 20);
  REQUIRE(group);
  CHECK(limit_of(**group) == "33554432\n");
}

TEST_CASE("what a crash left is removed by the next one, and what lives is let be") {
  fs::path place;
  auto living = real_cgroups(place);
  if (!living) {
    WARN("this machine lets us make no memory cgroups");
    return;
  }
  const auto others = of_ours(place);
  const int crashed = in_child([&] {
    const auto groups = MemoryCgroups::open(*memory_cgroup_place());
    const auto group = groups ? (*groups)->make(1 << 20) : fail(groups.error());
    ::_exit(group ? 0 : 1);  // nothing is destroyed
    return 1;
  });
  REQUIRE(crashed == 0);
  CHECK(of_ours(place).size() == others.size() + 1);
  const auto next = MemoryCgroups::open(*memory_cgroup_place());
  REQUIRE(next);
  const auto now = of_ours(place);
  CHECK(now.size() == others.size() + 1);  // its own
  for (const auto& name : others) CHECK(now.count(name) == 1);
  CHECK(living->make(1 << 20));
}

// No memory controller is needed for this, so it runs wherever version 2 is mounted and ours.
TEST_CASE(
    "a call is cloned into a cgroup of version 2, or enters it by itself where it cannot be") {
  fs::path mount = "/nowhere";
  std::ifstream mounts("/proc/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, point, type;
    if (words >> device >> point >> type && type == "cgroup2") mount = point;
  }
  std::string folder = (mount / "sable-test-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) {
    WARN("no cgroups of version 2 that are ours to make");
    return;
  }
  {
    auto launcher = LauncherProcess::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
    REQUIRE(launcher);
    auto plan = make_plan({}, this_host());
    REQUIRE(plan);
    plan->filters = make_filters(Network::none).value();
    const auto file = memory_file_of(encode_plan(*plan));
    REQUIRE(file);
    const UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    const UniqueFd procs(::open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    const UniqueFd door(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const TemporaryFolder plain;
    const UniqueFd no_door(::open(plain.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    // How many processes are in it when a call is ready that got these descriptors.
    const auto inside = [&](int group, int into) -> long {
      const auto status =
          launcher->control().request_call(file->get(), CallRequest::When::now, group, into);
      REQUIRE(status);
      StatusMessage message;
      do {
        pollfd waited{.fd = status->get(), .events = POLLIN, .revents = 0};
        UniqueFd ignored;
        if (::poll(&waited, 1, 30'000) <= 0 ||
            receive_status_message(status->get(), message, ignored) != sizeof message) {
          return -1;
        }
      } while (message.kind == StatusMessage::Kind::created);
      if (message.kind != StatusMessage::Kind::prepared) return -2;
      const auto ids = read_file(folder + "/cgroup.procs");
      return ids ? std::count(ids->begin(), ids->end(), '\n') : -3;
    };
    const auto is_empty_again = [&] {
      for (int i = 0; i < 1000; ++i) {
        if (read_file(folder + "/cgroup.procs").value_or("x").empty()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return false;
    };
    // A way in that leads nowhere shows that it was cloned there.
    CHECK(inside(nowhere.get(), door.get()) == 1);
    REQUIRE(is_empty_again());
    CHECK(inside(procs.get(), no_door.get()) == 1);
    REQUIRE(is_empty_again());
    CHECK(inside(procs.get(), -1) == 1);
  }
  bool removed = false;
  for (int i = 0; i < 1000 && !removed; ++i) {
    removed = ::rmdir(folder.c_str()) == 0;
    if (!removed) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(removed);
}

TEST_CASE("calls of a sandbox run in cgroups of their own, and leave none") {
  fs::path place;
  if (!real_cgroups(place)) {
    WARN("this machine lets us make no memory cgroups");
    return;
  }
  const auto before = of_ours(place);
  {
    test::SandboxRunner runner;
    for (int i = 0; i < 5; ++i) REQUIRE(runner.run({"true"}).result);
    const auto mine = runner.run({"cat", "/proc/self/cgroup"});
    // The call's own cgroup namespace began outside of it, so its name shows, and nothing above.
    CHECK_THAT(mine.output, Catch::Contains("/call-"));
    test::SessionRunner session(runner);
    for (int i = 0; i < 5; ++i) REQUIRE(session.run({"true"}).result);
    CHECK_THAT(session.run({"cat", "/proc/self/cgroup"}).output, Catch::Contains("/call-"));
  }
  CHECK(of_ours(place) == before);
}
