// decode_bench: tokens a second of prefill and decode, beside the limit that memory sets.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "inference/inference.h"
#include "tests/bench/inference/read_bandwidth.h"
#include "tests/support/synthetic_checkpoint.h"

using namespace sable;
using namespace sable::inference;
namespace fs = std::filesystem;

namespace {

constexpr const char* kHelp =
    "decode_bench --model PATH [--prompt N] [--gen N] [--sequences N] [--threads N]... [--set "
    "NAME] [--json]\n"
    "decode_bench --smoke   a tiny model, a second of time\n";

struct Options {
  fs::path model;
  size_t n_prompt = 256, n_gen = 64, n_sequences = 1;
  std::vector<size_t> threads;
  std::string instruction_set;
  bool json = false, smoke = false;
};

struct Row {
  std::string machine;
  size_t n_threads = 0, n_sequences = 0, n_prompt = 0;
  double bandwidth = 0, prefill = 0, decode = 0, bytes_per_token = 0;
  double prefill_cpu_ms = 0,
         decode_cpu_ms = 0;  // processor time a token: what a busy machine leaves alone
  uint64_t checksum = 0;
};

[[noreturn]] void die(const std::string& message) {
  fmt::print(stderr, "decode_bench: {}\n", message);
  std::exit(1);
}

TokenId best(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double cpu_ms() { return 1e3 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void run_all(Engine& engine, std::span<Sequence* const> sequences) {
  for (bool waiting = true; waiting;) {
    const auto stepped = engine.step(sequences);
    if (!stepped) die(stepped.error().message);
    waiting = std::any_of(sequences.begin(), sequences.end(),
                          [](const Sequence* s) { return s->n_waiting() > 0; });
  }
}

Row measure(const Options& options, size_t n_threads) {
  EngineOptions settings;
  settings.n_threads = n_threads;
  settings.instruction_set = options.instruction_set;
  settings.step_target = std::chrono::seconds(2);  // throughput is measured here, not latency
  auto opened = Engine::open(options.model, settings);
  if (!opened) die(opened.error().message);
  Engine& engine = **opened;
  Row row{.machine = std::string(engine.instruction_set()),
          .n_threads = n_threads,
          .n_sequences = options.n_sequences,
          .n_prompt = options.n_prompt};
  row.bandwidth = options.smoke ? 1 : bench::read_bandwidth(n_threads);

  std::vector<std::unique_ptr<Sequence>> owned;
  std::vector<Sequence*> sequences;
  const auto n_vocab = static_cast<uint64_t>(engine.config().vocab_size);
  for (size_t s = 0; s < options.n_sequences; ++s) {
    owned.push_back(engine.start());
    sequences.push_back(owned.back().get());
  }
  const auto feed = [&](size_t s, size_t n, uint64_t from) {
    std::vector<TokenId> ids(n);
    for (size_t i = 0; i < n; ++i) {
      ids[i] = static_cast<TokenId>(((from + i) * 7919 + s * 104729 + 3) % n_vocab);
    }
    if (const auto appended = sequences[s]->append(ids); !appended) die(appended.error().message);
  };
  // Warm up: maps the weights, finds out the speed of a step.
  for (size_t s = 0; s < sequences.size(); ++s) feed(s, std::min<size_t>(32, options.n_prompt), 0);
  run_all(engine, sequences);
  for (auto& s : owned) {
    if (const auto cut = s->truncate(0); !cut) die(cut.error().message);
  }
  auto begin = std::chrono::steady_clock::now();
  double cpu = cpu_ms();
  for (size_t s = 0; s < sequences.size(); ++s) feed(s, options.n_prompt, 1000);
  run_all(engine, sequences);
  row.prefill = static_cast<double>(options.n_prompt * sequences.size()) / seconds_since(begin);
  row.prefill_cpu_ms = (cpu_ms() - cpu) / static_cast<double>(options.n_prompt * sequences.size());

  begin = std::chrono::steady_clock::now();
  cpu = cpu_ms();
  for (size_t i = 0; i < options.n_gen; ++i) {
    for (Sequence* s : sequences) {
      const TokenId next = best(s->logits());
      row.checksum = row.checksum * 1000003 + static_cast<uint64_t>(next);
      if (const auto appended = s->append({&next, 1}); !appended) die(appended.error().message);
    }
    run_all(engine, sequences);
  }
  row.decode = static_cast<double>(options.n_gen * sequences.size()) / seconds_since(begin);
  row.decode_cpu_ms = (cpu_ms() - cpu) / static_cast<double>(options.n_gen * sequences.size());
  row.bytes_per_token = static_cast<double>(engine.weight_bytes_per_token());
  return row;
}

void print(const Row& r, bool json) {
  const double share = r.decode * r.bytes_per_token / r.bandwidth;
  if (json) {
    fmt::print("{}\n", dump_json(Json{{"set", r.machine},
                                      {"threads", r.n_threads},
                                      {"sequences", r.n_sequences},
                                      {"prompt_tokens", r.n_prompt},
                                      {"prefill_tokens_per_second", r.prefill},
                                      {"decode_tokens_per_second", r.decode},
                                      {"prefill_cpu_ms_per_token", r.prefill_cpu_ms},
                                      {"decode_cpu_ms_per_token", r.decode_cpu_ms},
                                      {"weight_bytes_per_token", r.bytes_per_token},
                                      {"read_bytes_per_second", r.bandwidth},
                                      {"share_of_read_bandwidth", share},
                                      {"checksum", r.checksum}}));
    return;
  }
  fmt::print(
      "{:>8} {:>7} {:>5} {:>7} {:>9.1f} {:>9.2f} {:>9.1f} {:>9.2f} {:>6.0f}% {:>8.2f} {:>8.2f}  "
      "{:016x}\n",
      r.machine, r.n_threads, r.n_sequences, r.n_prompt, r.prefill, r.decode,
      r.bytes_per_token / 1e6, r.bandwidth / 1e9, 100 * share, r.prefill_cpu_ms, r.decode_cpu_ms,
      r.checksum);
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&] {
      if (i + 1 >= argc) die(name + " needs a value");
      return std::string(argv[++i]);
    };
    if (name == "--model")
      o.model = value();
    else if (name == "--prompt")
      o.n_prompt = std::stoul(value());
    else if (name == "--gen")
      o.n_gen = std::stoul(value());
    else if (name == "--sequences")
      o.n_sequences = std::stoul(value());
    else if (name == "--threads")
      o.threads.push_back(std::stoul(value()));
    else if (name == "--set")
      o.instruction_set = value();
    else if (name == "--json")
      o.json = true;
    else if (name == "--smoke")
      o.smoke = true;
    else
      die("unknown option " + name + "\n" + kHelp);
  }
  if (o.threads.empty()) o.threads = {1, 2};
  if (o.model.empty() && !o.smoke) die(kHelp);
  return o;
}

fs::path write_tiny_model() {
  test::SyntheticOptions tiny;
  ModelConfig& c = tiny.config;
  c.vocab_size = 512;
  c.hidden_size = 256;
  c.num_hidden_layers = 3;
  c.compress_ratios = {0, 4, 128};
  c.num_nextn_predict_layers = 0;
  c.n_routed_experts = 8;
  c.num_experts_per_tok = 2;
  c.moe_intermediate_size = 128;
  c.num_hash_layers = 1;
  const fs::path path =
      fs::temp_directory_path() / ("decode_bench-" + std::to_string(::getpid()) + ".gguf");
  if (const auto written = test::write_synthetic_checkpoint(path, tiny); !written) {
    die(written.error().message);
  }
  return path;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  if (options.smoke) {
    options.model = write_tiny_model();
    options.n_prompt = 40;
    options.n_gen = 4;
  }
  if (!options.json) {
    fmt::print("{:>8} {:>7} {:>5} {:>7} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8}\n", "set",
               "threads", "seqs", "prompt", "prefill/s", "decode/s", "MB/token", "read GB/s",
               "share", "cpu ms/p", "cpu ms/d");
  }
  for (const size_t n : options.threads) print(measure(options, n), options.json);
  if (options.smoke) fs::remove(options.model);
  return 0;
}
