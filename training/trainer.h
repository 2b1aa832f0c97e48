// The training loop: batches, gradients on several threads, optimiser steps, held-out checks,
// saving and going on.
//
// A step's batch, and the order in which gradients are added, depend on the seed and the number of
// the step alone; so equal runs give equal bits on any number of threads, also when one of them was
// interrupted and resumed. Only a run that is limited by time (minutes) depends on the machine: its
// rates follow the clock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "training/dataset.h"
#include "training/linear.h"
#include "training/optimizer.h"

namespace sable::training {

struct TrainingPlan {
  uint64_t seed = 1;
  size_t n_threads = 2;
  double minutes = 0;         ///< the run's length by the clock, or
  uint64_t tokens = 0;        ///< by tokens; exactly one of them is positive
  Rates rates;                ///< at full height
  float other_weight = 0.1F;  ///< of tokens that the model does not write
  // Parts of the run, as fractions of its length.
  double copy_until = 0.45;  ///< half of the tokens are copy problems
  double long_copies = 0.3;  ///< share of copy problems that are long ones
  double renamed = 0.75;     ///< share of episodes that are read with other names
  double decay_from = 0.55;  ///< rates fall linearly to 3 %
  double round_from = 0.88;  ///< weights, entries and activations are rounded as shipped
  size_t batch_tokens_first = 2048, batch_tokens_last = 8192;
  size_t tokens_in_sequence_max = 6144;  ///< longer episodes are left out
};

/// How held-out sequences went.
struct FamilyScore {
  std::string family;
  size_t n = 0;
  size_t right = 0;  ///< sequences whose every token by the model came out right
  size_t n_tokens = 0, right_tokens = 0;
};

struct Progress {
  size_t step = 0;
  uint64_t tokens = 0;
  double fraction = 0;    ///< of the run
  double loss = 0;        ///< per weighed token, smoothed
  double index_loss = 0;  ///< per query, smoothed
  double copied = 0;      ///< share of right tokens in copy problems, smoothed
  double written = 0;     ///< share of right tokens that the model writes in episodes, smoothed
  double tokens_per_second = 0;
};

class Trainer {
 public:
  /// `parameters`, `training` outlive the trainer. `values` are where it starts.
  Trainer(const Parameters& parameters, std::vector<float> values, const Dataset& training,
          CopyTokens copy, NameTokens names, TrainingPlan plan);
  ~Trainer();

  /// One step; `fraction` is how much of the run is behind it. io for a gradient that is not
  /// finite.
  Result<void> step(double fraction);
  const Progress& progress() const;

  /// Teacher-forced: a sequence counts when each of the model's tokens is the most likely one.
  std::vector<FamilyScore> evaluate(const Dataset& held_out, size_t per_family_max);

  const std::vector<float>& values() const;

  /// Everything that the next step depends on. load(): invalid_input for another model's state.
  Result<void> save(const std::filesystem::path& file) const;
  Result<void> load(const std::filesystem::path& file);

  /// Length of the run so far, by the plan's measure (before `elapsed_minutes`, of earlier runs).
  double fraction_by_tokens() const;
  double minutes_before() const;
  void set_minutes(double minutes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The weights in a file of Trainer::save(), of a run that is over or goes on. Errors as load()'s.
Result<std::vector<float>> saved_values(const Parameters& parameters,
                                        const std::filesystem::path& file);

}  // namespace sable::training
