// How fast the event log is: commits against a bare append with fdatasync on the same disk, group
// commit, opening a long session, listing many. `--json` prints one object a row, `--tiny` runs
// small sizes so that the program cannot rot, `--folder DIR` names the disk.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/utsname.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "base/task_group.h"
#include "memory/memory.h"

using namespace sable;
using namespace sable::memory;

namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

struct Sizes {
  int n_commits = 500;
  int n_group_events = 40000;
  int n_writers = 256;
  int n_long_session = 1'000'000;
  int n_sessions = 10'000;
  int n_repeats = 7;
};

constexpr Sizes kTiny{.n_commits = 20,
                      .n_group_events = 200,
                      .n_writers = 16,
                      .n_long_session = 2000,
                      .n_sessions = 20,
                      .n_repeats = 3};

double ms_since(Steady::time_point start) {
  return std::chrono::duration<double, std::milli>(Steady::now() - start).count();
}

/// Of all threads together: on a machine that does other things it says more than the clock.
double processor_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

struct Spread {
  double median, low, high;  // low and high: 10th and 90th percentile
};

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
  };
  return {at(0.5), at(0.1), at(0.9)};
}

/// One line of the table, or one JSON object.
class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void row(const std::string& name, const Spread& value, const std::string& unit, double bar,
           bool lower_is_better) {
    const bool met = lower_is_better ? value.median <= bar : value.median >= bar;
    if (json_) {
      const Json object{{"bench", "log"},   {"name", name},      {"median", value.median},
                        {"p10", value.low}, {"p90", value.high}, {"unit", unit},
                        {"bar", bar},       {"met", met}};
      fmt::print("{}\n", dump_json(object));
      return;
    }
    fmt::print("{:<44} {:>12.3f} {:>12.3f} {:>12.3f}  {:<9} {} {:<8g} {}\n", name, value.median,
               value.low, value.high, unit, lower_is_better ? "<=" : ">=", bar,
               met ? "met" : "missed");
  }
  void note(const std::string& name, const Spread& value, const std::string& unit) {
    if (json_) {
      const Json object{{"bench", "log"},   {"name", name},      {"median", value.median},
                        {"p10", value.low}, {"p90", value.high}, {"unit", unit}};
      fmt::print("{}\n", dump_json(object));
      return;
    }
    fmt::print("{:<44} {:>12.3f} {:>12.3f} {:>12.3f}  {}\n", name, value.median, value.low,
               value.high, unit);
  }
  void text(const std::string& line) const {
    if (!json_) fmt::print("{}\n", line);
  }

 private:
  bool json_;
};

template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "log_bench: {}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Runs one coroutine to its end.
template <class T>
T run(asio::awaitable<Result<T>> work) {
  asio::io_context context;
  std::optional<Result<T>> result;
  asio::co_spawn(context, std::move(work), [&](const std::exception_ptr& failure, Result<T> value) {
    SABLE_CHECK(!failure);
    result.emplace(std::move(value));
  });
  context.run();
  return must(std::move(*result));
}

std::vector<NewEvent> events_of(size_t n, const std::string& text) {
  return std::vector<NewEvent>(n, NewEvent{"note.added", Json{{"text", text}}});
}

struct Latencies {
  std::vector<double> log_ms, bare_ms, ratio;
};

/// A 1 KiB event through the store, then 1 KiB appended to a file and synced, in turns.
asio::awaitable<Result<Latencies>> measure_commits(Store& store, Lease& lease, int bare_fd, int n) {
  const std::string kibibyte(1000, 'x');
  Latencies latencies;
  for (int i = 0; i < n + 20; ++i) {
    auto start = Steady::now();
    auto append = store.append(lease, events_of(1, kibibyte));
    auto appended = co_await std::move(append);
    if (!appended) co_return fail(appended.error());
    const double log_ms = ms_since(start);

    start = Steady::now();
    if (auto written = write_all(bare_fd, kibibyte); !written) co_return fail(written.error());
    if (::fdatasync(bare_fd) != 0) co_return fail_errno("fdatasync", errno);
    const double bare_ms = ms_since(start);
    if (i < 20) continue;  // warm-up
    latencies.log_ms.push_back(log_ms);
    latencies.bare_ms.push_back(bare_ms);
    latencies.ratio.push_back(log_ms / bare_ms);
  }
  co_return latencies;
}

asio::awaitable<void> append_in_turn(Store& store, Lease& lease, int n, Error& error) {
  const std::string text(200, 'x');
  for (int i = 0; i < n; ++i) {
    auto append = store.append(lease, events_of(1, text));
    auto appended = co_await std::move(append);
    if (!appended) error = appended.error();
  }
}

asio::awaitable<Result<double>> measure_group_commit(Store& store, int n_writers, int n_events) {
  std::vector<std::unique_ptr<Lease>> leases;
  for (int i = 0; i < 8; ++i) {
    auto create = store.create_session({.title = "group"});
    auto lease = co_await std::move(create);
    if (!lease) co_return fail(lease.error());
    leases.push_back(std::move(*lease));
  }
  Error error{ErrorCode::io, ""};
  TaskGroup writers(co_await asio::this_coro::executor);
  const auto start = Steady::now();
  for (int i = 0; i < n_writers; ++i) {
    Lease& lease = *leases[static_cast<size_t>(i) % leases.size()];
    writers.spawn(append_in_turn(store, lease, n_events / n_writers, error));
  }
  auto joined = writers.join();
  co_await std::move(joined);
  if (!error.message.empty()) co_return fail(error);
  const double seconds = ms_since(start) / 1000;
  co_return static_cast<double>(n_events / n_writers * n_writers) / seconds;
}

asio::awaitable<Result<std::string>> fill_session(Store& store, int n_events) {
  auto create = store.create_session({.title = "long"});
  auto lease = co_await std::move(create);
  if (!lease) co_return fail(lease.error());
  constexpr int kChunk = 5000;
  for (int n = 1; n < n_events;) {
    const int chunk = std::min(kChunk, n_events - n);
    auto append = store.append(**lease, events_of(static_cast<size_t>(chunk), "a short note"));
    auto appended = co_await std::move(append);
    if (!appended) co_return fail(appended.error());
    n += chunk;
  }
  co_return (*lease)->session();
}

/// What resuming does first: own the session and read its newest events.
asio::awaitable<Result<Seq>> take_up(Store& store, std::string id) {
  auto acquire = store.acquire(id);
  auto lease = co_await std::move(acquire);
  if (!lease) co_return fail(lease.error());
  const Seq last = (*lease)->last_seq();
  auto read = store.read(id, last > 100 ? last - 100 : 1, 101);
  auto events = co_await std::move(read);
  if (!events) co_return fail(events.error());
  co_return last;
}

asio::awaitable<void> create_some(Store& store, int n) {
  for (int i = 0; i < n; ++i) {
    auto create = store.create_session({.title = "one of many", .working_directory = "/src/repo"});
    auto lease = co_await std::move(create);
    must(std::move(lease));
  }
}

asio::awaitable<Result<bool>> create_sessions(Store& store, int n) {
  TaskGroup creators(co_await asio::this_coro::executor);
  constexpr int kTogether = 20;
  for (int i = 0; i < kTogether; ++i) creators.spawn(create_some(store, n / kTogether));
  auto joined = creators.join();
  co_await std::move(joined);
  co_return true;
}

void measure(const Sizes& sizes, const fs::path& folder, Report& report) {
  {
    auto store = must(Store::open(folder / "commit"));
    auto lease = run(store->create_session({.title = "commit"}));
    const UniqueFd bare(
        ::open((folder / "bare").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const auto latencies = run(measure_commits(*store, *lease, bare.get(), sizes.n_commits));
    report.note("commit of a 1 KiB event, one writer", spread_of(latencies.log_ms), "ms");
    report.note("bare append of 1 KiB and fdatasync", spread_of(latencies.bare_ms), "ms");
    const double ratio = spread_of(latencies.log_ms).median / spread_of(latencies.bare_ms).median;
    const auto paired = spread_of(latencies.ratio);
    report.row("ratio of the medians", {ratio, paired.low, paired.high}, "x", 1.5, true);
  }
  {
    auto store = must(Store::open(folder / "group"));
    std::vector<double> rates, processor_us;
    for (int i = 0; i < 3; ++i) {
      const double before = processor_ms();
      rates.push_back(run(measure_group_commit(*store, sizes.n_writers, sizes.n_group_events)));
      processor_us.push_back((processor_ms() - before) * 1e3 / sizes.n_group_events);
    }
    report.row(fmt::format("group commit, {} appends waiting", sizes.n_writers), spread_of(rates),
               "events/s", 20000, false);
    report.note("  processor time an event", spread_of(processor_us), "us");
  }
  {
    std::string id;
    {
      auto store = must(Store::open(folder / "long"));
      id = run(fill_session(*store, sizes.n_long_session));
    }
    std::vector<double> open_ms;
    for (int i = 0; i < sizes.n_repeats; ++i) {
      const auto start = Steady::now();
      auto store = must(Store::open(folder / "long"));
      const Seq last = run(take_up(*store, id));
      open_ms.push_back(ms_since(start));
      SABLE_CHECK(last == static_cast<Seq>(sizes.n_long_session));
    }
    report.row(fmt::format("open a session of {} events", sizes.n_long_session), spread_of(open_ms),
               "ms", 100, true);
  }
  {
    auto store = must(Store::open(folder / "many"));
    run(create_sessions(*store, sizes.n_sessions));
    std::vector<double> list_ms, list_processor_ms;
    for (int i = 0; i < sizes.n_repeats; ++i) {
      const auto start = Steady::now();
      const double before = processor_ms();
      const auto sessions = run(store->list(static_cast<size_t>(sizes.n_sessions)));
      list_ms.push_back(ms_since(start));
      list_processor_ms.push_back(processor_ms() - before);
      SABLE_CHECK(sessions.size() == static_cast<size_t>(sizes.n_sessions));
    }
    report.row(fmt::format("list {} sessions", sizes.n_sessions), spread_of(list_ms), "ms", 50,
               true);
    report.note("  processor time of it", spread_of(list_processor_ms), "ms");
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  Sizes sizes;
  fs::path parent = fs::temp_directory_path();
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--tiny") == 0) {
      sizes = kTiny;
    } else if (std::strcmp(argv[i], "--folder") == 0 && i + 1 < argc) {
      parent = argv[++i];
    } else {
      fmt::print(stderr, "usage: log_bench [--json] [--tiny] [--folder DIR]\n");
      return 2;
    }
  }
  std::string folder = (parent / "sable-log-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) {
    fmt::print(stderr, "log_bench: {}: {}\n", folder, std::strerror(errno));
    return 1;
  }
  Report report(json);
  utsname machine{};
  ::uname(&machine);
  report.text(fmt::format("{} {}, {} processors, disk of {}", machine.sysname, machine.release,
                          ::sysconf(_SC_NPROCESSORS_ONLN), parent.string()));
  report.text(fmt::format("{:<44} {:>12} {:>12} {:>12}", "", "median", "p10", "p90"));
  measure(sizes, folder, report);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return 0;
}
