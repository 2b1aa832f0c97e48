// `sable model bench`: tokens a second and bytes a token, beside what memory gives at best.
#include <charconv>
#include <cstdio>

#include <fmt/format.h>

#include "base/file.h"
#include "runtime/cli/model_command.h"
#include "runtime/cli/model_command_interrupt.h"
#include "runtime/cli/model_command_progress.h"

namespace sable::runtime {

namespace {

/// What the process takes of memory, as the kernel counts it (proc(5), /proc/self/status).
struct ProcessMemory {
  uint64_t peak = 0;       ///< of everything, mapped pages of the model included
  uint64_t anonymous = 0;  ///< now, without them
};

uint64_t status_bytes(std::string_view status, std::string_view label) {
  const size_t at = status.find(label);
  if (at == std::string_view::npos) return 0;
  status.remove_prefix(at + label.size());
  status.remove_prefix(std::min(status.find_first_of("0123456789"), status.size()));
  uint64_t kibibytes = 0;
  std::from_chars(status.data(), status.data() + status.size(), kibibytes);
  return kibibytes << 10;
}

ProcessMemory process_memory() {
  const auto status = read_file("/proc/self/status");
  if (!status) return {};
  return {status_bytes(*status, "VmHWM:"), status_bytes(*status, "RssAnon:")};
}

struct BenchReport {
  inference::SpeedReport speed;
  uint64_t scratch_bytes = 0, resident_bytes = 0, file_bytes = 0;
  ProcessMemory memory;
};

Result<BenchReport> bench(const ModelOptions& options, const std::stop_token& stop) {
  SABLE_TRY(const auto engine, inference::Engine::open(options.path, options.engine()));
  ProgressLine line("measuring");
  const auto progress = [&line](std::string_view, uint64_t done, uint64_t total) {
    line.show(done, total);
  };
  BenchReport report;
  SABLE_TRY(report.speed, inference::measure_speed(*engine, options.speed, progress, stop));
  report.scratch_bytes = engine->scratch_bytes();
  report.file_bytes = engine->weight_file_bytes();
  SABLE_TRY(report.resident_bytes, engine->resident_weight_bytes());
  report.memory = process_memory();
  return report;
}

std::string memory_text(const BenchReport& r) {
  const auto mib = [](uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  return fmt::format(
      "{:<14}{:9.1f} MiB at most with the weights, {:.1f} MiB without; scratch {:.1f} MiB\n"
      "{:<14}{:9.1f} of {:.1f} MiB of weights\n",
      "memory", mib(r.memory.peak), mib(r.memory.anonymous), mib(r.scratch_bytes), "  resident",
      mib(r.resident_bytes), mib(r.file_bytes));
}

}  // namespace

int model_bench_action(const Program& program, const ModelOptions& options) {
  const Interrupt interrupt;
  const auto report = bench(options, interrupt.token());
  if (!report) return program.fail_with(report.error(), interrupt.status_or(1));
  if (program.json) {
    Json json = inference::to_json(report->speed);
    json["memory"] = Json{{"peak_bytes", report->memory.peak},
                          {"anonymous_bytes", report->memory.anonymous},
                          {"scratch_bytes", report->scratch_bytes},
                          {"resident_weight_bytes", report->resident_bytes},
                          {"weight_file_bytes", report->file_bytes}};
    std::printf("%s\n", dump_json(json).c_str());
  } else {
    std::fputs((inference::to_text(report->speed) + memory_text(*report)).c_str(), stdout);
  }
  return 0;
}

}  // namespace sable::runtime
