// What it costs to run /bin/true in a sandbox, against a bare posix_spawn in the same round.
//
// spawn_bench [--rounds N] [--files N] [--parent-mib N] [--pause-ms N] [--watched] [--json]
//   --files       writes so many files and 20 repositories into the writable root; an empty root is
//                 then measured in the same rounds, and grown_ is the first over the second
//   --parent-mib  so much touched memory in this process
//   --pause-ms    before every measured spawn, so that what is prepared ahead (or taken down after)
//                 for one does not run beside another; with 0 it does
//   --watched     memory is watched by pid 1, also where the machine has cgroups for it
//
// fresh: new namespaces for each call, made ahead of it and never used before. unprepared: the
// same, made on demand. session: one session for all calls, each with its own process namespace.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <string>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "sandbox/sandbox.h"

namespace {

namespace fs = std::filesystem;
using namespace sable;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

double milliseconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

void spawn(std::vector<const char*> arguments) {
  arguments.push_back(nullptr);
  char* environment[] = {nullptr};
  pid_t pid = -1;
  if (::posix_spawn(&pid, arguments[0], nullptr, nullptr,
                    const_cast<char* const*>(arguments.data()), environment) != 0) {
    std::fprintf(stderr, "cannot start %s\n", arguments[0]);
    std::exit(1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) {
    std::fprintf(stderr, "%s ended with status %d\n", arguments[0], status);
    std::exit(1);
  }
}

bool is_fine(const Result<sandbox::RunResult>& result) {
  if (!result) std::fprintf(stderr, "%s\n", result.error().message.c_str());
  return result && result->end == sandbox::End::exited && result->exit_code == 0;
}

// One loop for all calls, as a program has it.
class Calls {
 public:
  explicit Calls(sandbox::Sandbox& box) : box_(box) {}

  void fresh(const sandbox::Policy& policy) {
    finish(box_.run(policy, {.argv = {"/bin/true"}}, {}));
  }
  void in_session() { finish(session_->run({.argv = {"/bin/true"}}, {})); }

  void open_session(const sandbox::Policy& policy) {
    asio::co_spawn(
        loop_, box_.open_session(policy),
        [&](const std::exception_ptr&, Result<std::unique_ptr<sandbox::Session>> session) {
          if (!session) std::fprintf(stderr, "%s\n", session.error().message.c_str());
          if (session) session_ = std::move(*session);
        });
    loop_.run();
    loop_.restart();
    if (!session_) std::exit(1);
  }

 private:
  void finish(asio::awaitable<Result<sandbox::RunResult>> call) {
    bool fine = false;
    asio::co_spawn(loop_, std::move(call),
                   [&](const std::exception_ptr&, const Result<sandbox::RunResult>& result) {
                     fine = is_fine(result);
                   });
    loop_.run();
    loop_.restart();
    if (!fine) std::exit(1);
  }

  sandbox::Sandbox& box_;
  asio::io_context loop_;
  std::unique_ptr<sandbox::Session> session_;
};

// `n_files` files in folders of 20, and 20 repositories among them.
void fill(const fs::path& root, int n_files) {
  for (int i = 0; i < n_files; ++i) {
    const fs::path folder = root / std::to_string(i / 2000) / std::to_string(i / 20);
    if (i % 20 == 0) fs::create_directories(folder);
    std::ofstream(folder / std::to_string(i)) << i;
  }
  for (int i = 0; n_files > 0 && i < 20; ++i) {
    const fs::path git = root / std::to_string(i) / "repository/.git";
    fs::create_directories(git / "hooks");
    std::ofstream(git / "config") << "[core]\n";
  }
}

struct Options {
  int rounds = 200, files = 0, pause_ms = 15;
  size_t parent_mib = 0;
  bool watched = false;
  bool json = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::atoi(argv[++i]) : 0; };
    if (name == "--rounds") {
      options.rounds = std::max(number(), 1);
    } else if (name == "--files") {
      options.files = number();
    } else if (name == "--parent-mib") {
      options.parent_mib = static_cast<size_t>(number());
    } else if (name == "--pause-ms") {
      options.pause_ms = number();
    } else if (name == "--watched") {
      options.watched = true;
    } else if (name == "--json") {
      options.json = true;
    } else {
      std::fprintf(stderr,
                   "usage: spawn_bench [--rounds N] [--files N] [--parent-mib N] [--pause-ms N] "
                   "[--watched] [--json]\n");
      std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  auto box =
      sandbox::Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher", !options.watched);
  if (!box) {
    std::fprintf(stderr, "%s\n", box.error().message.c_str());
    return 1;
  }
  std::string name = (fs::temp_directory_path() / "spawn-bench-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return 1;
  const fs::path root = name;
  const bool two_roots = options.files > 0;
  std::string empty = (fs::temp_directory_path() / "spawn-bench-XXXXXX").string();
  if (two_roots && ::mkdtemp(empty.data()) == nullptr) return 1;
  fill(root, options.files);
  if (options.parent_mib > 0) {
    const size_t bytes = options.parent_mib << 20;
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) std::memset(memory, 1, bytes);
  }
  const sandbox::Policy policy{.writable = {root}};
  const bool with_bubblewrap = ::access("/usr/bin/bwrap", X_OK) == 0;
  const auto bubblewrap = [&] {
    spawn({"/usr/bin/bwrap",
           "--unshare-all",
           "--die-with-parent",
           "--new-session",
           "--ro-bind",
           "/usr",
           "/usr",
           "--symlink",
           "usr/bin",
           "/bin",
           "--symlink",
           "usr/lib",
           "/lib",
           "--symlink",
           "usr/lib64",
           "/lib64",
           "--proc",
           "/proc",
           "--dev",
           "/dev",
           "--tmpfs",
           "/tmp",
           "--bind",
           root.c_str(),
           root.c_str(),
           "--",
           "/bin/true"});
  };

  Calls calls(**box);
  calls.open_session(policy);
  const sandbox::Policy policy_of_empty{.writable = {empty}};
  Calls calls_of_empty(**box);
  if (two_roots) calls_of_empty.open_session(policy_of_empty);
  // A policy that nobody had before: nothing can have been made ahead for it.
  sandbox::Policy other = policy;
  const auto unprepared_call = [&] {
    other.limits.cpu += std::chrono::seconds(1);
    calls.fresh(other);
  };
  const auto settle = [&] { ::usleep(static_cast<useconds_t>(options.pause_ms) * 1000); };
  const auto timed = [&](const std::function<void()>& work) {
    settle();
    return milliseconds_of(work);
  };

  std::vector<double> bare, fresh, session, unprepared, bubblewrap_ms;
  std::vector<double> ratio_fresh, ratio_session, ratio_unprepared, ratio_bubblewrap;
  std::vector<double> grown_fresh, grown_session;
  const double first = milliseconds_of([&] { calls.fresh(policy); });
  for (int i = 0; i < options.rounds + 3; ++i) {
    const double base = timed([] { spawn({"/bin/true"}); });
    const double ours = timed([&] { calls.fresh(policy); });
    const double ours_empty =
        two_roots ? timed([&] { calls_of_empty.fresh(policy_of_empty); }) : ours;
    const double shared = timed([&] { calls.in_session(); });
    const double shared_empty = two_roots ? timed([&] { calls_of_empty.in_session(); }) : shared;
    const double cold = timed(unprepared_call);
    const double theirs = with_bubblewrap ? timed(bubblewrap) : 0;
    if (i < 3) continue;  // warm-up
    bare.push_back(base);
    fresh.push_back(ours);
    session.push_back(shared);
    unprepared.push_back(cold);
    ratio_fresh.push_back(ours / base);
    ratio_session.push_back(shared / base);
    ratio_unprepared.push_back(cold / base);
    grown_fresh.push_back(ours / ours_empty);
    grown_session.push_back(shared / shared_empty);
    if (!with_bubblewrap) continue;
    bubblewrap_ms.push_back(theirs);
    ratio_bubblewrap.push_back(theirs / base);
  }
  fs::remove_all(root);
  if (two_roots) fs::remove_all(empty);

  utsname machine{};
  ::uname(&machine);
  if (options.json) {
    std::printf(
        "{\"bench\":\"spawn\",\"kernel\":\"%s\",\"rounds\":%d,\"files\":%d,\"parent_mib\":%zu,"
        "\"pause_ms\":%d,\"bare_ms\":%.3f,\"fresh_ms\":%.3f,\"session_ms\":%.3f,"
        "\"unprepared_ms\":%.3f,\"first_ms\":%.3f,\"ratio_fresh\":%.3f,\"ratio_session\":%.3f,"
        "\"ratio_unprepared\":%.3f",
        machine.release, options.rounds, options.files, options.parent_mib, options.pause_ms,
        median(bare), median(fresh), median(session), median(unprepared), first,
        median(ratio_fresh), median(ratio_session), median(ratio_unprepared));
    if (with_bubblewrap) std::printf(",\"peer_bubblewrap\":%.3f", median(ratio_bubblewrap));
    if (two_roots) {
      std::printf(",\"grown_fresh\":%.3f,\"grown_session\":%.3f", median(grown_fresh),
                  median(grown_session));
    }
    std::printf("}\n");
    return 0;
  }
  std::printf(
      "spawn of /bin/true, Linux %s, %ld processors, %d rounds, %d files in the root, %zu MiB in "
      "the parent\n",
      machine.release, ::sysconf(_SC_NPROCESSORS_ONLN), options.rounds, options.files,
      options.parent_mib);
  std::printf("  %-28s %8.3f ms\n", "bare posix_spawn", median(bare));
  const auto row = [](const char* label, const std::vector<double>& ms,
                      const std::vector<double>& ratio) {
    std::printf("  %-28s %8.3f ms   %5.2f times bare (median of the rounds' ratios)\n", label,
                median(ms), median(ratio));
  };
  row("fresh sandbox", fresh, ratio_fresh);
  row("session", session, ratio_session);
  row("fresh, nothing prepared", unprepared, ratio_unprepared);
  if (with_bubblewrap) row("bubblewrap", bubblewrap_ms, ratio_bubblewrap);
  std::printf("  %-28s %8.3f ms\n", "the first call", first);
  if (two_roots) {
    std::printf("  against an empty root: fresh %.2f, session %.2f times\n", median(grown_fresh),
                median(grown_session));
  }
  return 0;
}
