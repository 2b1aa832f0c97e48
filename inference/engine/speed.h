// How fast an engine is on this machine, beside the limit that memory sets.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace sable::inference {

class Engine;

/// Bytes a second that `n_threads` read together from a buffer far larger than any cache; the best
/// of several passes. Takes a quarter of a second and 256 MiB.
double read_bandwidth(size_t n_threads);

struct SpeedOptions {
  uint64_t n_context = 0;   ///< tokens that a sequence has before anything is measured
  uint64_t n_prompt = 256;  ///< tokens of each prefill that is measured
  uint64_t n_gen = 64;      ///< tokens decoded in each sequence
  size_t n_sequences = 1;   ///< decoded together
};

/// Several steps of one kind.
struct PhaseSpeed {
  uint64_t n_tokens = 0, n_steps = 0;
  double seconds = 0;
  double cpu_seconds = 0;  ///< of all threads: what a busy machine changes least
  uint64_t weight_bytes = 0, cache_bytes = 0, n_experts = 0;  ///< as in StepReport

  double tokens_per_second() const;
  double bytes_per_second() const;  ///< weights and caches
  double bytes_per_token() const;
};

struct SpeedReport {
  SpeedOptions options;
  size_t n_threads = 0;
  std::string instruction_set;
  double read_bytes_per_second = 0;  ///< what the same threads read at best, before or after
  PhaseSpeed prefill, decode;
  PhaseSpeed decode_alone;  ///< one sequence, when several are measured; else empty
  uint64_t cache_bytes = 0, cache_bytes_formula = 0;  ///< of all sequences in the end
  uint64_t checksum = 0;  ///< of the tokens decoded: equal wherever the results are

  /// The share of the read bandwidth that decoding uses. Of several sequences: counted over the
  /// union of the experts that they touch in a step.
  double share() const;
};

/// Told now and then which phase is how far.
using SpeedProgress = std::function<void(std::string_view phase, uint64_t done, uint64_t total)>;

/// Feeds sequences of fixed, scattered ids and decodes the best token each time. Errors: those of
/// appending and stepping; cancelled (`stop`).
Result<SpeedReport> measure_speed(Engine& engine, const SpeedOptions& options,
                                  const SpeedProgress& progress = {},
                                  const std::stop_token& stop = {});

Json to_json(const SpeedReport& report);
/// Lines for people, ending in a newline.
std::string to_text(const SpeedReport& report);

}  // namespace sable::inference
