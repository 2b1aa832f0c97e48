// What stands behind the door: the parts of an engine and of a sequence.
#pragma once

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "inference/engine/rewind_points.h"
#include "inference/engine/step_budget.h"
#include "inference/graph/forward.h"
#include "inference/inference.h"
#include "inference/kernels/worker_pool.h"

namespace sable::inference {

struct Engine::State {
  EngineOptions options;
  std::shared_ptr<const Checkpoint> checkpoint;
  Result<Tokenizer> tokenizer = fail(ErrorCode::not_found, "the model has no tokenizer");
  Digest fingerprint{};
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<PagePool> pages;
  std::unique_ptr<Model> model;
  std::unique_ptr<Forward> forward;
  std::optional<StepBudget> budget;
  std::vector<float> logits;  ///< of one step
  std::jthread populating;    ///< reads the weights ahead, where all of them fit into memory

  size_t n_vocab() const { return static_cast<size_t>(model->config().vocab_size); }
};

struct Sequence::State {
  Engine::State* engine;
  std::vector<TokenId> tokens;
  SequenceState caches;
  RewindPoints points;
  std::vector<float> logits;  ///< behind token position - 1; empty when unknown
  std::function<void(uint64_t, std::span<const float>)> on_logits;

  explicit State(Engine::State& e) : engine(&e), caches(e.forward->layout()) {}
  uint64_t n_waiting() const { return tokens.size() - caches.position(); }
};

}  // namespace sable::inference
