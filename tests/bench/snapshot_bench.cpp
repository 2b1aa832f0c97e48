// How fast a cache snapshot comes back from the disk, against reading the same bytes in sequence
// from one file: of made-up blocks, to their reader; and of an engine's, to a sequence that could
// go on. `--json` prints one object a row, `--tiny` runs small sizes so that the program cannot
// rot,
// `--folder DIR` names the disk, `--tokens N` and `--block-bytes N` the state.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "agent/sequence_snapshots.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/json.h"
#include "base/unique_fd.h"
#include "memory/page_buffer.h"
#include "tests/support/made_up_state.h"
#include "tests/support/synthetic_checkpoint.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

struct Sizes {
  size_t n_tokens = 1'000'000;
  size_t block_bytes = 132'000;  ///< 128 tokens of about 1 KiB each: a compressed cache
  size_t n_turns = 100;          ///< in so many saves, among those of another session
  int n_repeats = 5;
};

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

/// Of all threads together: on a machine that does other things it says more than the clock.
double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "snapshot_bench: {}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Bytes that cost nothing to make; content is tested elsewhere.
class CheapState : public SnapshotSource {
 public:
  explicit CheapState(size_t block_bytes) : bytes_(made_up_bytes(7, block_bytes)) {}
  Result<void> block(uint64_t index, std::vector<std::byte>& bytes) override {
    bytes = bytes_;
    std::memcpy(bytes.data(), &index, sizeof index);
    return {};
  }
  Result<void> position(std::vector<std::byte>& bytes) override {
    bytes = bytes_;
    return {};
  }

 private:
  std::vector<std::byte> bytes_;
};

/// What an engine saves of a long prompt without computing it: one whole block of a short prompt,
/// in every place, and the position record behind it, each under its own number.
class EngineState : public SnapshotSource {
 public:
  EngineState(const fs::path& folder, size_t n_tokens)
      : n_blocks_(n_tokens / kSnapshotBlockTokens) {
    const fs::path model = folder / "long.gguf";
    must(write_synthetic_checkpoint(model, long_context_model(64, 1)));
    engine_ = must(
        inference::Engine::open(model, {.n_threads = 1, .cache_bytes_max = uint64_t{4} << 30}));
    const auto sequence = engine_->start();
    const std::vector<int32_t> ids(3 * kSnapshotBlockTokens, 5);  // longer than the window
    must(sequence->append(ids));
    inference::Sequence* const all[] = {sequence.get()};
    while (sequence->n_waiting() > 0) must(engine_->step(all));
    auto copy = must(agent::copy_sequence(*engine_, *sequence, 0));
    block_ = std::move(copy.blocks.at(1));
    position_ = std::move(copy.position);
    renumber(position_, n_blocks_ * kSnapshotBlockTokens);
    tokens_.assign(n_blocks_ * kSnapshotBlockTokens, 5);
  }

  Result<void> block(uint64_t index, std::vector<std::byte>& bytes) override {
    bytes = block_;
    renumber(bytes, index);
    return {};
  }
  Result<void> position(std::vector<std::byte>& bytes) override {
    bytes = position_;
    return {};
  }
  TokenStream stream() const { return {engine_->fingerprint(), tokens_}; }
  inference::Engine& engine() { return *engine_; }
  size_t block_bytes() const { return block_.size(); }

 private:
  /// In the format of inference/engine/saved_state.cpp: a header of 64 bytes with the number in its
  /// seventh word, the payload, a checksum.
  static void renumber(std::vector<std::byte>& file, uint64_t number) {
    constexpr size_t kHeaderBytes = 64, kNumberAt = 48;
    std::memcpy(file.data() + kNumberAt, &number, sizeof number);
    const std::span<const std::byte> bytes = file;
    const auto header = bytes.first(kHeaderBytes);
    const auto payload = bytes.subspan(kHeaderBytes, file.size() - kHeaderBytes - sizeof(Checksum));
    const Checksum checksum = checksum_of(payload, short_checksum_of(header));
    std::memcpy(file.data() + kHeaderBytes + payload.size(), &checksum, sizeof checksum);
  }

  size_t n_blocks_;
  std::unique_ptr<inference::Engine> engine_;
  std::vector<std::byte> block_, position_;
  std::vector<int32_t> tokens_;
};

/// The next reads come from the disk, not from memory.
void forget_pages(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  SABLE_CHECK(fd && ::fdatasync(fd.get()) == 0);
  SABLE_CHECK(::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
}

void forget_pages_below(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".segment") forget_pages(entry.path());
  }
}

/// One file from its beginning to its end, in the two ways in which a program reads much: through
/// the page cache, or past it (no copy by the kernel) into one buffer.
double read_in_sequence(const fs::path& file, bool direct, size_t& n_bytes) {
  forget_pages(file);
  PageBuffer buffer;
  constexpr size_t kPiece = size_t{8} << 20;
  buffer.reserve(kPiece);
  const auto start = Steady::now();
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0)));
  if (!direct) (void)::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  n_bytes = 0;
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), kPiece);
    if (n < 0 && direct) return 0;  // not on this file system
    SABLE_CHECK(n >= 0);
    if (n == 0) return seconds_since(start);
    n_bytes += static_cast<size_t>(n);
  }
}

struct Restored {
  double find_seconds;  ///< of processor: what is stored, and where
  double seconds;
  size_t n_bytes;
  uint64_t checksum;
};

Restored restore(SnapshotStore& cache, const TokenStream& stream, std::vector<std::byte>& into) {
  const auto start = Steady::now();
  Restored restored{0, 0, 0, 0};
  const double before = processor_seconds();
  const auto reader = must(cache.find(stream));
  restored.find_seconds = processor_seconds() - before;
  SABLE_CHECK(reader->n_tokens() == stream.tokens.size());
  const auto take = [&](std::span<const std::byte> bytes) {
    into.resize(std::max(into.size(), bytes.size()));
    std::memcpy(into.data(), bytes.data(), bytes.size());  // as an engine does
    restored.n_bytes += bytes.size();
    uint64_t first;
    std::memcpy(&first, bytes.data(), sizeof first);
    restored.checksum = restored.checksum * 31 + first;
  };
  for (uint64_t i = 0; i < reader->n_blocks(); ++i) take(must(reader->block(i)));
  take(must(reader->position()));
  restored.seconds = seconds_since(start);
  return restored;
}

/// Seconds until the engine has a sequence that lacks only the last token, which it must compute.
double restore_into_engine(SnapshotStore& cache, EngineState& state) {
  const auto stored = state.stream().tokens;
  std::vector<int32_t> tokens(stored.begin(), stored.end());
  tokens.push_back(5);
  const auto start = Steady::now();
  const auto sequence = must(agent::restore_sequence(cache, "s_long", state.engine(), tokens));
  const double seconds = seconds_since(start);
  SABLE_CHECK(sequence->position() == stored.size());
  return seconds;
}

/// A file to be read in sequence.
fs::path write_plain(const fs::path& folder, size_t n_bytes) {
  const fs::path plain = folder / "plain";
  const UniqueFd fd(::open(plain.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const auto bytes = made_up_bytes(9, size_t{4} << 20);
  for (size_t done = 0; done < n_bytes; done += bytes.size()) {
    SABLE_CHECK(::write(fd.get(), bytes.data(), bytes.size()) > 0);
  }
  return plain;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(const Sizes& sizes, const fs::path& folder, bool json) {
  auto store = must(Store::open(folder / "home"));
  auto cache = must(SnapshotStore::open(folder / "home", {.free_bytes_min = 0}));
  CheapState state(sizes.block_bytes);
  const auto tokens = made_up_tokens(sizes.n_tokens), other = made_up_tokens(sizes.n_tokens, -7);
  const auto saving = Steady::now();
  const double processor_before = processor_seconds();
  uint64_t bytes_written = 0;
  for (size_t turn = 1; turn <= sizes.n_turns; ++turn) {
    // The conversation grows turn by turn; one of a tenth of its length grows between.
    const size_t n = sizes.n_tokens * turn / sizes.n_turns;
    bytes_written +=
        must(cache->save("s_long", {{}, std::span(tokens).first(n)}, state)).bytes_written;
    bytes_written +=
        must(cache->save("s_other", {{}, std::span(other).first(n / 10)}, state)).bytes_written;
  }
  const double save_seconds = seconds_since(saving);
  const double save_processor = processor_seconds() - processor_before;

  const fs::path plain =
      write_plain(folder, sizes.n_tokens / kSnapshotBlockTokens * sizes.block_bytes);
  std::vector<double> cached_speed, direct_speed, restore_speed, ratio, restore_seconds,
      find_seconds;
  std::vector<double> cached_processor, direct_processor, restore_processor;  // ns a byte
  const auto read_plain = [&](bool direct, std::vector<double>& speed,
                              std::vector<double>& processor) {
    size_t n_bytes = 0;
    const double before = processor_seconds();
    const double seconds = read_in_sequence(plain, direct, n_bytes);
    if (seconds == 0) return;
    processor.push_back((processor_seconds() - before) * 1e9 / static_cast<double>(n_bytes));
    speed.push_back(static_cast<double>(n_bytes) / seconds / 1e9);
  };
  std::vector<std::byte> into;
  uint64_t checksum = 0;
  for (int i = 0; i < sizes.n_repeats; ++i) {
    read_plain(false, cached_speed, cached_processor);
    read_plain(true, direct_speed, direct_processor);
    forget_pages_below(folder / "home" / "cache");
    const double before = processor_seconds();
    const auto restored = restore(*cache, {{}, tokens}, into);
    restore_processor.push_back((processor_seconds() - before) * 1e9 /
                                static_cast<double>(restored.n_bytes));
    restore_speed.push_back(static_cast<double>(restored.n_bytes) / restored.seconds / 1e9);
    restore_seconds.push_back(restored.seconds);
    find_seconds.push_back(restored.find_seconds);
    // Against the faster of the two, both read just before.
    const double disk =
        std::max(cached_speed.back(), direct_speed.empty() ? 0 : direct_speed.back());
    ratio.push_back(restore_speed.back() / disk);
    checksum = restored.checksum;
  }
  const double worst = *std::min_element(ratio.begin(), ratio.end());
  if (json) {
    fmt::print("{}\n",
               dump_json(Json{
                   {"bench", "snapshot"},
                   {"n_tokens", sizes.n_tokens},
                   {"block_bytes", sizes.block_bytes},
                   {"n_turns", sizes.n_turns},
                   {"save_gb_per_s", static_cast<double>(bytes_written) / save_seconds / 1e9},
                   {"save_ns_per_byte", save_processor * 1e9 / static_cast<double>(bytes_written)},
                   {"sequential_cached_gb_per_s", median(cached_speed)},
                   {"sequential_cached_ns_per_byte", median(cached_processor)},
                   {"sequential_direct_gb_per_s", median(direct_speed)},
                   {"sequential_direct_ns_per_byte", median(direct_processor)},
                   {"restore_gb_per_s", median(restore_speed)},
                   {"restore_ns_per_byte", median(restore_processor)},
                   {"restore_seconds", median(restore_seconds)},
                   {"find_processor_seconds", median(find_seconds)},
                   {"ratio", median(ratio)},
                   {"ratio_worst", worst},
                   {"bar", 0.7},
                   {"met", median(ratio) >= 0.7},
                   {"checksum", checksum}}));
    return;
  }
  utsname machine{};
  ::uname(&machine);
  fmt::print("{} {}, {} processors, disk of {}\n", machine.sysname, machine.release,
             ::sysconf(_SC_NPROCESSORS_ONLN), folder.parent_path().string());
  fmt::print("{} tokens in {} saves, {} bytes a block\n", sizes.n_tokens, sizes.n_turns,
             sizes.block_bytes);
  const auto line = [](std::string_view name, double speed, double processor) {
    fmt::print("{:<44} {:>10.3f} GB/s  {:.3f} ns of processor a byte\n", name, speed, processor);
  };
  line("saving, synced", static_cast<double>(bytes_written) / save_seconds / 1e9,
       save_processor * 1e9 / static_cast<double>(bytes_written));
  line("reading one file, through the page cache", median(cached_speed), median(cached_processor));
  line("reading one file, past it", median(direct_speed), median(direct_processor));
  line("restoring the snapshot", median(restore_speed), median(restore_processor));
  fmt::print("{:<44} {:>10.3f} s     {:.3f} s of processor to find it\n", "",
             median(restore_seconds), median(find_seconds));
  fmt::print("{:<44} {:>10.3f} x     >= 0.7 {}  (worst {:.3f}, checksum {:x})\n",
             "ratio to the faster way of reading", median(ratio),
             median(ratio) >= 0.7 ? "met" : "missed", worst, checksum);
}

void measure_engine(const Sizes& sizes, const fs::path& folder, bool json) {
  auto store = must(Store::open(folder / "home"));
  auto cache = must(SnapshotStore::open(folder / "home", {.free_bytes_min = 0}));
  EngineState state(folder, sizes.n_tokens);
  must(cache->save("s_long", state.stream(), state));
  const size_t n_bytes = sizes.n_tokens / kSnapshotBlockTokens * state.block_bytes();
  const fs::path plain = write_plain(folder, n_bytes);
  std::vector<double> restore_speed, ratio;
  for (int i = 0; i < sizes.n_repeats; ++i) {
    double disk = 0;
    for (const bool direct : {false, true}) {
      size_t n_read = 0;
      const double seconds = read_in_sequence(plain, direct, n_read);
      if (seconds > 0) disk = std::max(disk, static_cast<double>(n_read) / seconds / 1e9);
    }
    forget_pages_below(folder / "home" / "cache");
    restore_speed.push_back(static_cast<double>(n_bytes) / restore_into_engine(*cache, state) /
                            1e9);
    ratio.push_back(restore_speed.back() / disk);
  }
  const double worst = *std::min_element(ratio.begin(), ratio.end());
  if (json) {
    fmt::print("{}\n", dump_json(Json{{"bench", "snapshot_into_engine"},
                                      {"n_tokens", sizes.n_tokens},
                                      {"block_bytes", state.block_bytes()},
                                      {"restore_gb_per_s", median(restore_speed)},
                                      {"ratio", median(ratio)},
                                      {"ratio_worst", worst},
                                      {"bar", 0.7},
                                      {"met", median(ratio) >= 0.7}}));
    return;
  }
  fmt::print("into an engine: {} tokens, {} bytes a block, {:.3f} GB/s\n", sizes.n_tokens,
             state.block_bytes(), median(restore_speed));
  fmt::print("{:<44} {:>10.3f} x     >= 0.7 {}  (worst {:.3f})\n",
             "ratio to the faster way of reading", median(ratio),
             median(ratio) >= 0.7 ? "met" : "missed", worst);
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  Sizes sizes;
  fs::path parent = fs::temp_directory_path();
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json") {
      json = true;
    } else if (argument == "--tiny") {
      sizes = {.n_tokens = 5000, .block_bytes = 3000, .n_turns = 4, .n_repeats = 1};
    } else if (argument == "--folder" && i + 1 < argc) {
      parent = argv[++i];
    } else if (argument == "--tokens" && i + 1 < argc) {
      sizes.n_tokens = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--block-bytes" && i + 1 < argc) {
      sizes.block_bytes = std::max<size_t>(8, std::strtoull(argv[++i], nullptr, 10));
    } else {
      fmt::print(stderr,
                 "usage: snapshot_bench [--json] [--tiny] [--folder DIR] [--tokens N] "
                 "[--block-bytes N]\n");
      return 2;
    }
  }
  std::string folder = (parent / "sable-snapshot-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) {
    fmt::print(stderr, "snapshot_bench: {}: {}\n", folder, std::strerror(errno));
    return 1;
  }
  fs::create_directories(fs::path(folder) / "blocks");
  fs::create_directories(fs::path(folder) / "engine");
  measure(sizes, fs::path(folder) / "blocks", json);
  measure_engine(sizes, fs::path(folder) / "engine", json);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return 0;
}
