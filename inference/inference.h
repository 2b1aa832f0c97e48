// The door of inference: open a model, start sequences, feed tokens, get logits; fork, cut, save,
// restore.
//
// What else a user of models needs comes with it: opening a checkpoint without an engine, what
// it is (model_info), whether its weights are sound (verify), writing it in other types (convert),
// its tokenizer, and picking tokens from logits (Sampler, StopStrings).
//
// An Engine is a loaded model with its threads and its cache memory. A Sequence is one token stream
// inside it. Tokens appended to a sequence wait until a step processes them; a step takes any
// number of sequences, some with long prompts, some with one token each.
//
// The same model and tokens give the same logits, bit for bit: in whatever company, however the
// steps cut the stream, on any number of threads, after a fork, a cut, an abandoned step or a
// restore.
//
// Threads: one thread at a time calls an Engine and its Sequences; which one may change. Only a
// stop token may be used from elsewhere. Everything that can go wrong in the world comes back as a
// Result.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "inference/engine/model_tokenizer.h"
#include "inference/engine/sampler.h"
#include "inference/engine/speed.h"
#include "inference/engine/stop_strings.h"
#include "inference/engine/token_mask.h"
#include "inference/files/checkpoint.h"
#include "inference/files/convert.h"
#include "inference/files/model_config.h"
#include "inference/files/model_info.h"
#include "inference/files/verify.h"
#include "inference/tokenizer/detokenizer.h"
#include "inference/tokenizer/tokenizer.h"

namespace sable::inference {

/// How numbers between operators and in caches are kept. Part of every fingerprint.
enum class Arithmetic : uint8_t {
  f32,     ///< activations and caches in FP32: for comparison with the reference
  packed,  ///< activations in FP32, caches as FP8 entries and FP4 index keys: for everything else
};

struct EngineOptions {
  Arithmetic arithmetic = Arithmetic::packed;
  /// FP8 rounding of KV entries, Hadamard and FP4 rounding of the indexer. Packed caches need it.
  bool fake_quant = true;
  /// FP8 rounding of the inputs of official FP8 and FP4 matrices. Other formats have none.
  bool activation_quant = true;

  std::string backend = "cpu";  ///< or "reference": plain loops in double, one thread, slow
  std::string
      instruction_set;   ///< "avx512", "avx2" or "portable"; empty: the best this machine has
  size_t n_threads = 0;  ///< 0: one for each processor

  /// For the caches of all sequences together; 0: half of the memory that is left beside scratch.
  uint64_t cache_bytes_max = 0;
  uint64_t context_max = 0;  ///< tokens in a sequence; 0: what the model allows
  /// For scratch and caches; 0: what the machine can spare when the engine is opened. Weights are
  /// pages of mapped files and not part of it.
  uint64_t memory_bytes_max = 0;
  /// Routed experts that stay in memory between uses; 0: all that the system keeps. Changes speed,
  /// no result.
  uint64_t resident_experts_max = 0;
  size_t rows_in_step_max = 128;  ///< tokens that one step may process; sizes the scratch memory
  /// How long a step should last at most, where the tokens that are being decoded allow it.
  std::chrono::milliseconds step_target{100};
};

/// Where saved bytes go.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Result<void> write(std::span<const std::byte> bytes) = 0;
};

/// A saved file, wherever it lies.
class SavedFile {
 public:
  virtual ~SavedFile() = default;
  /// All of it; valid until the same is asked of another file.
  virtual Result<std::span<const std::byte>> bytes() = 0;
};

/// Tokens in one saved block.
inline constexpr uint64_t kSavedBlockTokens = 128;

class Engine;

/// One token stream. Owned by the caller; the engine outlives it.
class Sequence {
 public:
  ~Sequence();

  /// Puts tokens behind the last one. invalid_input for an id outside the vocabulary; exhausted
  /// when the context would become longer than the engine allows. After an error nothing was
  /// appended.
  Result<void> append(std::span<const TokenId> ids);

  /// All tokens, processed and waiting.
  std::span<const TokenId> tokens() const;
  /// How many of them have been processed.
  uint64_t position() const;
  uint64_t n_waiting() const { return tokens().size() - position(); }

  /// The logits behind the last token [vocabulary]; empty while tokens wait, and after a restore
  /// until a token has been processed. Valid until the next step or change of this sequence.
  std::span<const float> logits() const;

  /// Wants the logits of every position: called within step(), once it has succeeded, in order of
  /// positions. Empty to stop. Not copied by fork().
  void on_logits(std::function<void(uint64_t position, std::span<const float> logits)> sink);

  /// An independent sequence with the same tokens and logits; memory is shared until one of them
  /// goes on.
  std::unique_ptr<Sequence> fork() const;

  /// Forgets all but the first `n` tokens. What must be computed again waits, at least the last
  /// token, so the next step gives the logits. invalid_input when n exceeds tokens().size().
  Result<void> truncate(uint64_t n);

  /// Cache bytes that this sequence refers to; shared memory counts for each that shares it.
  uint64_t cache_bytes() const;

  /// Saving. The first saved_blocks() * 128 processed tokens are in blocks, which never change and
  /// are equal for equal prefixes; the position record has the rest.
  uint64_t saved_blocks() const { return position() / kSavedBlockTokens; }
  Result<void> save_block(uint64_t index, ByteSink& sink) const;
  Result<void> save_position(ByteSink& sink) const;

 private:
  friend class Engine;
  struct State;
  explicit Sequence(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// What one step did.
struct StepReport {
  size_t n_tokens = 0;  ///< processed
  std::chrono::microseconds time{0};
  uint64_t weight_bytes = 0;  ///< of weights read, each once however many tokens met it
  uint64_t cache_bytes = 0;   ///< of cache entries and index keys read
  uint64_t n_experts = 0;     ///< routed experts that ran, over all layers
};

class Engine {
 public:
  /// Opens a checkpoint (a folder with config.json and safetensors, or a GGUF file), maps its
  /// weights and starts the threads. Errors name file, tensor and reason; exhausted when scratch
  /// and caches would not fit into memory, saying what would.
  static Result<std::unique_ptr<Engine>> open(const std::filesystem::path& path,
                                              const EngineOptions& options = {});
  ~Engine();

  const ModelConfig& config() const;
  const EngineOptions& options() const;  ///< with zeros replaced by what is in force
  /// The model's tokenizer; not_found or the reason why there is none that can be used.
  const Result<Tokenizer>& tokenizer() const;
  /// Equal only for equal weights, tokenizer, arithmetic and results of kernels: the key of saved
  /// states.
  const Digest& fingerprint() const;
  std::string_view instruction_set() const;  ///< which kernels run

  std::unique_ptr<Sequence> start();

  /// Processes waiting tokens of these sequences (distinct ones of this engine, at least one
  /// waiting token in one of them): one token of each first, then prompts in the given order, as
  /// many as step_target allows. Errors: exhausted (no cache memory left), cancelled (`stop`).
  /// After an error every sequence is bit for bit as before.
  Result<StepReport> step(std::span<Sequence* const> sequences, const std::stop_token& stop = {});

  /// A sequence as it was saved: `blocks` in order, then the position record. corrupt for a torn
  /// file, invalid_input for one that another model or setting wrote; the message says which.
  Result<std::unique_ptr<Sequence>> restore(std::span<SavedFile* const> blocks,
                                            SavedFile& position);

  uint64_t cache_bytes_in_use() const;
  /// Memory that steps are computed in.
  uint64_t scratch_bytes() const;
  /// Bytes of the weight files that are in memory now, whoever read them, of weight_file_bytes().
  Result<uint64_t> resident_weight_bytes() const;
  uint64_t weight_file_bytes() const;
  /// Cache bytes that a sequence of n tokens takes.
  uint64_t cache_bytes_for(uint64_t n_tokens) const;
  /// Bytes of weights that decoding one token of one sequence touches, caches not counted.
  uint64_t weight_bytes_per_token() const;

 private:
  friend class Sequence;
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sable::inference
