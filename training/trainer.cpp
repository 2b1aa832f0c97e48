#include "training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "training/model.h"
#include "training/parallel.h"
#include "training/shipped_rounding.h"

namespace sable::training {

namespace {

// Sequences of a batch are dealt to this many lanes; each adds up its gradients in order, and the
// lanes are added in order, whatever the number of threads.
constexpr size_t kLaneCount = 8;
constexpr float kBalanceRate = 1e-3F;
constexpr size_t kWarmUpSteps = 40;
constexpr double kSmoothing = 0.95;

struct Item {
  Sequence made;                     // a copy problem, or an episode with other names; or
  const Sequence* stored = nullptr;  // an episode as it is
  bool copies = false;               // a copy problem
  const Sequence& sequence() const { return stored == nullptr ? made : *stored; }
};

/// What the saved file holds beside the arrays.
struct Header {
  char magic[8] = {'S', 'A', 'B', 'L', 'E', 'T', 'R', '1'};
  uint64_t n_values = 0, layout = 0, step = 0, tokens = 0, cursor = 0, optimizer_steps = 0;
  double minutes = 0;
};

uint64_t layout_hash(const Parameters& parameters) {
  uint64_t h = 0;
  for (const Parameter& p : parameters.list()) h = mix(h ^ hash_of(p.name), p.size());
  return h;
}

}  // namespace

struct Trainer::State {
  State(const Parameters& p, std::vector<float> start, const Dataset& data, CopyTokens c,
        NameTokens n, TrainingPlan pl)
      : parameters(p),
        training(data),
        copy(std::move(c)),
        names(std::move(n)),
        plan(pl),
        values(std::move(start)),
        shown(values.size()),
        transposed(values.size()),
        optimizer(p) {
    gradients.resize(kLaneCount);
    for (size_t i = 0; i < std::max<size_t>(1, plan.n_threads); ++i) workers.emplace_back(p);
    for (const Sequence& s : training.sequences) {
      if (s.tokens.size() <= plan.tokens_in_sequence_max) usable.push_back(&s);
    }
  }

  /// The episode at place `n` of an endless reading in which every round has another order.
  const Sequence& episode(uint64_t n) {
    const uint64_t round = n / usable.size();
    if (order.empty() || round != order_round) {
      order.resize(usable.size());
      std::iota(order.begin(), order.end(), size_t{0});
      Random random(mix(plan.seed, 1000 + round));
      random.shuffle(std::span(order));
      order_round = round;
    }
    return *usable[order[n % usable.size()]];
  }

  std::vector<Item> batch(double fraction);
  void prepare_weights(bool rounds);

  const Parameters& parameters;
  const Dataset& training;
  CopyTokens copy;
  NameTokens names;
  TrainingPlan plan;
  std::vector<float> values;      // the masters
  std::vector<float> shown;       // what passes compute with
  std::vector<float> transposed;  // of shown
  OptimizerState optimizer;
  std::vector<std::vector<float>> gradients;  // by lane
  std::vector<Worker> workers;                // by thread
  std::vector<const Sequence*> usable;
  std::vector<size_t> order;
  uint64_t order_round = 0, cursor = 0;
  Roundings roundings;
  bool weights_ready = false;
  double minutes = 0;
  Progress progress;
};

Trainer::Trainer(const Parameters& parameters, std::vector<float> values, const Dataset& training,
                 CopyTokens copy, NameTokens names, TrainingPlan plan)
    : state_(std::make_unique<State>(parameters, std::move(values), training, std::move(copy),
                                     std::move(names), plan)) {
  SABLE_CHECK(!state_->usable.empty());
}

Trainer::~Trainer() = default;

const Progress& Trainer::progress() const { return state_->progress; }
const std::vector<float>& Trainer::values() const { return state_->values; }
double Trainer::minutes_before() const { return state_->minutes; }
void Trainer::set_minutes(double minutes) { state_->minutes = minutes; }
double Trainer::fraction_by_tokens() const {
  return static_cast<double>(state_->progress.tokens) / static_cast<double>(state_->plan.tokens);
}

std::vector<Item> Trainer::State::batch(double fraction) {
  const double grown = std::clamp((fraction - plan.copy_until) / 0.5, 0.0, 1.0);
  const auto wanted = static_cast<size_t>(
      static_cast<double>(plan.batch_tokens_first) +
      grown * static_cast<double>(plan.batch_tokens_last - plan.batch_tokens_first));
  Random random(mix(plan.seed, progress.step));
  std::vector<Item> items;
  const double copy_share = fraction < plan.copy_until ? 0.5 : 0.1;
  size_t n_tokens = 0, n_copied = 0;
  while (n_tokens < wanted) {
    Item item;
    const double copied = static_cast<double>(n_copied) / static_cast<double>(wanted);
    if (copied < copy_share && random.chance(0.7 * copy_share + 0.3 * (copy_share > 0.1 ? 1 : 0))) {
      item.made = random.chance(plan.long_copies) ? long_copy_problem(copy, random)
                                                  : copy_problems(copy, 5, random);
      item.copies = true;
      n_copied += item.made.tokens.size();
    } else {
      const Sequence& read = episode(cursor++);
      if (random.chance(plan.renamed)) {
        item.made = with_other_names(read, names, random);
      } else {
        item.stored = &read;
      }
    }
    n_tokens += item.sequence().tokens.size();
    items.push_back(std::move(item));
  }
  return items;
}

void Trainer::State::prepare_weights(bool rounds) {
  const size_t n = parameters.list().size();
  in_parallel(workers.size(), n, [&](size_t i, size_t) {
    const Parameter& p = parameters.list()[i];
    if (rounds) {
      round_to_shipped(parameters, i, i + 1, values.data(), shown.data());
    } else {
      std::copy_n(values.data() + p.offset, p.size(), shown.data() + p.offset);
    }
    transpose_values(parameters, i, i + 1, shown.data(), transposed.data());
  });
  roundings = {rounds, rounds};
  weights_ready = true;
}

Result<void> Trainer::step(double fraction) {
  State& s = *state_;
  const auto begin = std::chrono::steady_clock::now();
  const bool rounds = fraction >= s.plan.round_from;
  s.prepare_weights(rounds);
  const std::vector<Item> items = s.batch(fraction);

  // Longest first, each to the lane with the least work so far.
  std::vector<size_t> by_length(items.size());
  std::iota(by_length.begin(), by_length.end(), size_t{0});
  const auto length = [&](size_t i) { return items[i].sequence().tokens.size(); };
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](size_t a, size_t b) { return length(a) > length(b); });
  std::vector<std::vector<size_t>> lanes(kLaneCount);
  std::vector<size_t> work(kLaneCount, 0);
  for (const size_t i : by_length) {
    const auto least =
        static_cast<size_t>(std::min_element(work.begin(), work.end()) - work.begin());
    lanes[least].push_back(i);
    work[least] += length(i);
  }
  std::erase_if(lanes, [](const std::vector<size_t>& lane) { return lane.empty(); });

  std::vector<std::vector<float>> weights(items.size());
  double total_weight = 0;
  size_t n_tokens = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    weights[i] = weights_of(items[i].sequence(), s.copy.user, s.plan.other_weight);
    total_weight += std::accumulate(weights[i].begin(), weights[i].end(), 0.0);
    n_tokens += length(i);
  }
  const GradientScale scale{static_cast<float>(1.0 / std::max(total_weight, 1.0)),
                            static_cast<float>(1.0 / static_cast<double>(n_tokens))};
  std::vector<Outcome> outcomes(items.size());
  in_parallel(s.workers.size(), lanes.size(), [&](size_t lane, size_t thread) {
    std::vector<float>& gradient = s.gradients[lane];
    gradient.assign(s.values.size(), 0.0F);
    for (const size_t i : lanes[lane]) {
      outcomes[i] = s.workers[thread].run({items[i].sequence().tokens, weights[i]},
                                          {s.shown.data(), s.transposed.data(), gradient.data()},
                                          s.roundings, scale);
    }
  });
  std::vector<float>& sum = s.gradients[0];
  constexpr size_t kChunk = size_t{1} << 16;
  in_parallel(s.workers.size(), (sum.size() + kChunk - 1) / kChunk, [&](size_t chunk, size_t) {
    const size_t first = chunk * kChunk, last = std::min(sum.size(), first + kChunk);
    for (size_t lane = 1; lane < lanes.size(); ++lane) {
      const float* const other = s.gradients[lane].data();
      for (size_t i = first; i < last; ++i) sum[i] += other[i];
    }
  });

  double loss = 0, index_loss = 0;
  size_t n_queries = 0, copied = 0, copied_right = 0, written = 0, written_right = 0;
  std::vector<uint64_t> load;
  for (size_t i = 0; i < items.size(); ++i) {
    const Outcome& o = outcomes[i];
    loss += o.loss;
    index_loss += o.index_loss;
    n_queries += o.n_index_queries;
    load.resize(o.expert_load.size(), 0);
    for (size_t e = 0; e < load.size(); ++e) load[e] += o.expert_load[e];
    const Sequence& sequence = items[i].sequence();
    for (size_t t = 0; t + 1 < sequence.tokens.size(); ++t) {
      if (sequence.by_model[t + 1] == 0) continue;
      (items[i].copies ? copied : written) += 1;
      (items[i].copies ? copied_right : written_right) += o.right[t];
    }
  }
  if (!std::isfinite(loss) || !std::isfinite(index_loss)) {
    return fail(ErrorCode::io, fmt::format("step {}: the loss is not finite", s.progress.step));
  }
  const double decayed = std::clamp((1.0 - fraction) / (1.0 - s.plan.decay_from), 0.03, 1.0);
  const double warm =
      std::min(1.0, static_cast<double>(s.progress.step + 1) / static_cast<double>(kWarmUpSteps));
  Rates rates = s.plan.rates;
  rates.muon *= static_cast<float>(decayed * warm);
  rates.adamw *= static_cast<float>(decayed * warm);
  optimize(s.parameters, rates, s.workers.size(), sum.data(), s.optimizer, s.values.data());
  balance(s.parameters, load, kBalanceRate, s.values.data());
  s.weights_ready = false;

  Progress& p = s.progress;
  const double keep = p.step == 0 ? 0.0 : kSmoothing;
  const auto smooth = [keep](double& old, double now) { old = keep * old + (1 - keep) * now; };
  smooth(p.loss, loss / std::max(total_weight, 1.0));
  if (n_queries > 0) smooth(p.index_loss, index_loss / static_cast<double>(n_queries));
  if (copied > 0) {
    smooth(p.copied, static_cast<double>(copied_right) / static_cast<double>(copied));
  }
  if (written > 0) {
    smooth(p.written, static_cast<double>(written_right) / static_cast<double>(written));
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  smooth(p.tokens_per_second, static_cast<double>(n_tokens) / seconds);
  p.fraction = fraction;
  p.tokens += n_tokens;
  ++p.step;
  return {};
}

std::vector<FamilyScore> Trainer::evaluate(const Dataset& held_out, size_t per_family_max) {
  State& s = *state_;
  s.prepare_weights(s.progress.fraction >= s.plan.round_from);
  std::vector<FamilyScore> scores(held_out.families.size());
  std::vector<const Sequence*> chosen;
  for (const Sequence& sequence : held_out.sequences) {
    FamilyScore& score = scores[sequence.family];
    if (score.n >= per_family_max) continue;
    ++score.n;
    chosen.push_back(&sequence);
  }
  std::vector<Outcome> outcomes(chosen.size());
  in_parallel(s.workers.size(), chosen.size(), [&](size_t i, size_t thread) {
    const std::vector<float> weight = weights_of(*chosen[i], s.copy.user, 0.0F);
    outcomes[i] =
        s.workers[thread].run({chosen[i]->tokens, weight},
                              {s.shown.data(), s.transposed.data(), nullptr}, s.roundings, {});
  });
  for (size_t i = 0; i < chosen.size(); ++i) {
    FamilyScore& score = scores[chosen[i]->family];
    score.family = held_out.families[chosen[i]->family];
    bool all = true;
    for (size_t t = 0; t + 1 < chosen[i]->tokens.size(); ++t) {
      if (chosen[i]->by_model[t + 1] == 0) continue;
      ++score.n_tokens;
      score.right_tokens += outcomes[i].right[t];
      all = all && outcomes[i].right[t] != 0;
    }
    score.right += all ? 1 : 0;
  }
  std::erase_if(scores, [](const FamilyScore& score) { return score.n == 0; });
  return scores;
}

Result<void> Trainer::save(const std::filesystem::path& file) const {
  const State& s = *state_;
  Header header;
  header.n_values = s.values.size();
  header.layout = layout_hash(s.parameters);
  header.step = s.progress.step;
  header.tokens = s.progress.tokens;
  header.cursor = s.cursor;
  header.optimizer_steps = s.optimizer.n_steps;
  header.minutes = s.minutes;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  for (const auto* array : {&s.values, &s.optimizer.momentum, &s.optimizer.squares}) {
    bytes.append(reinterpret_cast<const char*>(array->data()), array->size() * sizeof(float));
  }
  return write_file_atomically(file, bytes);
}

namespace {

/// The whole file, after its header has been found to fit.
Result<std::string> read_saved(const Parameters& parameters, const std::filesystem::path& file,
                               Header& header) {
  SABLE_TRY(std::string bytes, read_file(file, size_t{1} << 30));
  const Header ours;
  const size_t n = parameters.size();
  if (bytes.size() >= sizeof header) std::memcpy(&header, bytes.data(), sizeof header);
  if (bytes.size() != sizeof header + 3 * n * sizeof(float) ||
      std::memcmp(header.magic, ours.magic, sizeof ours.magic) != 0 || header.n_values != n ||
      header.layout != layout_hash(parameters)) {
    return fail(ErrorCode::invalid_input,
                file.string() + ": not the saved state of a run with this configuration");
  }
  return bytes;
}

}  // namespace

Result<void> Trainer::load(const std::filesystem::path& file) {
  State& s = *state_;
  Header header;
  SABLE_TRY(const std::string bytes, read_saved(s.parameters, file, header));
  const size_t n = s.values.size();
  const char* at = bytes.data() + sizeof header;
  for (auto* array : {&s.values, &s.optimizer.momentum, &s.optimizer.squares}) {
    std::memcpy(array->data(), at, n * sizeof(float));
    at += n * sizeof(float);
  }
  s.progress.step = header.step;
  s.progress.tokens = header.tokens;
  s.cursor = header.cursor;
  s.optimizer.n_steps = header.optimizer_steps;
  s.minutes = header.minutes;
  return {};
}

Result<std::vector<float>> saved_values(const Parameters& parameters,
                                        const std::filesystem::path& file) {
  Header header;
  SABLE_TRY(const std::string bytes, read_saved(parameters, file, header));
  std::vector<float> values(parameters.size());
  std::memcpy(values.data(), bytes.data() + sizeof header, values.size() * sizeof(float));
  return values;
}

}  // namespace sable::training
