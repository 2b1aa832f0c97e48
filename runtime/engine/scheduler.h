// Many sessions on one engine: a thread that owns the model and decodes for all of them together.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "inference/inference.h"

namespace sable::runtime {

/// Serves sequences from one engine. Everything that touches the engine happens on the scheduler's
/// own thread; requests and tokens cross as messages, so neither side waits for the other.
///
/// Each step takes one token of every sequence that decodes and as much of waiting prompts as the
/// engine's step target allows, the sequence that was first last time coming last. A sequence joins
/// and leaves between steps. When cache memory runs out, sequences that nobody is waiting for are
/// forgotten, the longest unused first (their next request computes them again); when there are
/// none, the youngest request fails.
class Scheduler final : public agent::TokenSource {
 public:
  /// Opens the model; the error says what is wrong with it. It must have a tokenizer.
  static Result<std::unique_ptr<Scheduler>> open(const std::filesystem::path& model,
                                                 const inference::EngineOptions& options = {});
  /// Stops at once, within a step. No generate() may be under way.
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
