// Many sessions on one engine: a thread that owns the model and decodes for all of them together.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "inference/inference.h"
#include "memory/memory.h"

namespace sable::runtime {

/// Serves sequences from one engine. Everything that touches the engine happens on the scheduler's
/// own thread; requests and tokens cross as messages, so neither side waits for the other.
///
/// Each step takes one token of every sequence that decodes and as much of waiting prompts as the
/// engine's step target allows, the sequence that was first last time coming last. A sequence joins
/// and leaves between steps. When cache memory runs out, sequences that nobody is waiting for are
/// forgotten, the longest unused first (their next request computes them again); when there are
/// none, the youngest request fails.
///
/// A stream without a sequence begins with the longest snapshot of its prompt, which costs a read
/// instead of a prefill. What a session has computed is kept when its turn is over, and in long
/// turns from time to time: its new blocks are copied on the engine's thread and written on
/// another.
class Scheduler final : public agent::TokenSource {
 public:
  /// Opens the model; the error says what is wrong with it. It must have a tokenizer. `snapshots`
  /// may be null; it outlives the scheduler.
  static Result<std::unique_ptr<Scheduler>> open(const std::filesystem::path& model,
                                                 const inference::EngineOptions& options = {},
                                                 memory::SnapshotStore* snapshots = nullptr,
                                                 const Log& log = Log::none());
  /// Stops at once, within a step, and finishes the snapshots that are being written. No generate()
  /// may be under way.
  ~Scheduler() override;

  const inference::Tokenizer& tokenizer() const override;
  const std::string& fingerprint() const override;
  uint64_t context_max() const override;
  std::unique_ptr<agent::TokenSequence> start() override;

 private:
  class EngineThread;
  class Stream;
  explicit Scheduler(std::unique_ptr<EngineThread> thread);
  std::unique_ptr<EngineThread> thread_;
};

}  // namespace sable::runtime
