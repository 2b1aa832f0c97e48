// decode_bench: tokens a second of prefill and decode, beside the limit that memory sets. What
// `sable model bench` prints, for several thread counts and instruction sets in one run, and on
// models that it makes up.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "inference/inference.h"
#include "tests/support/synthetic_checkpoint.h"

using namespace sable;
using namespace sable::inference;
namespace fs = std::filesystem;

namespace {

constexpr const char* kHelp =
    "decode_bench --model PATH [--context N] [--prompt N] [--gen N] [--sequences N]\n"
    "             [--threads N]... [--set NAME] [--chunk N] [--json]\n"
    "decode_bench --smoke   a tiny model, a second of time\n";

struct Options {
  fs::path model;
  SpeedOptions speed;
  std::vector<size_t> threads;
  std::string instruction_set;
  size_t chunk = 512;
  bool json = false, smoke = false;
};

[[noreturn]] void die(const std::string& message) {
  fmt::print(stderr, "decode_bench: {}\n", message);
  std::exit(1);
}

SpeedReport measure(const Options& options, size_t n_threads) {
  EngineOptions settings;
  settings.n_threads = n_threads;
  settings.instruction_set = options.instruction_set;
  settings.rows_in_step_max = options.chunk;
  settings.step_target = std::chrono::hours(1);  // throughput is measured here, not latency
  const auto engine = Engine::open(options.model, settings);
  if (!engine) die(engine.error().message);
  const auto report = measure_speed(**engine, options.speed);
  if (!report) die(report.error().message);
  return *report;
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
    else if (name == "--context")
      o.speed.n_context = std::stoul(value());
    else if (name == "--prompt")
      o.speed.n_prompt = std::stoul(value());
    else if (name == "--gen")
      o.speed.n_gen = std::stoul(value());
    else if (name == "--sequences")
      o.speed.n_sequences = std::stoul(value());
    else if (name == "--threads")
      o.threads.push_back(std::stoul(value()));
    else if (name == "--set")
      o.instruction_set = value();
    else if (name == "--chunk")
      o.chunk = std::stoul(value());
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
    options.speed = {.n_prompt = 40, .n_gen = 4, .n_sequences = 2};
  }
  for (const size_t n : options.threads) {
    const SpeedReport report = measure(options, n);
    fmt::print("{}", options.json ? dump_json(to_json(report)) + "\n" : to_text(report) + "\n");
  }
  if (options.smoke) fs::remove(options.model);
  return 0;
}
