// sable-train: makes the embedded model. docs/training.md has the one command that does it all.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "training/checkpoint_folder.h"
#include "training/encode_episodes.h"
#include "training/play_episodes.h"
#include "training/sequences_file.h"
#include "training/tokenizer_training.h"
#include "training/trainer.h"

namespace fs = std::filesystem;
using namespace sable;
using namespace sable::training;

namespace {

struct Options {
  fs::path configs = "configs", work = "build/model", out, from, launcher, code;
  size_t episodes = 12000, code_episodes = 6000, test_episodes = 600, count = 1000;
  size_t vocab = 1536, per_family = 60;
  uint64_t seed = 1, tokens = 0;
  double minutes = 0;
  size_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::string split = "training";
  FamilyShares shares;
  bool fresh = false;
  TrainingPlan plan;
};

using Clock = std::chrono::steady_clock;

double minutes_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count() / 60;
}

/// The shape of the shipped model: every kind of layer, sizes that every format can hold.
ModelConfig embedded_config(size_t vocab) {
  ModelConfig c;
  c.vocab_size = static_cast<int64_t>(vocab);
  c.hidden_size = 256;
  c.num_hidden_layers = 6;
  c.compress_ratios = {0, 4, 0, 128, 4, 0};
  c.num_attention_heads = 4;
  c.head_dim = 128;
  c.qk_rope_head_dim = 64;
  c.q_lora_rank = 256;
  c.o_lora_rank = 128;
  c.o_groups = 2;
  c.sliding_window = 1024;
  c.index_n_heads = 2;
  c.index_head_dim = 128;
  c.index_topk = 512;
  c.n_routed_experts = 8;
  c.num_experts_per_tok = 2;
  c.moe_intermediate_size = 128;
  c.num_hash_layers = 1;
  c.routed_scaling_factor = 1.5;
  c.swiglu_limit = 10;
  c.max_position_embeddings = 65536;
  c.expert_dtype = "fp4";
  return c;
}

EpisodePlan episode_plan(const Options& o) {
  EpisodePlan plan;
  plan.seed = o.seed;
  plan.shares = o.shares;
  plan.code = o.code;
  plan.launcher = o.launcher;
  plan.work = o.work / "workspace";
  return plan;
}

Result<void> make_tokenizer(const Options& o, const AgentPack& pack, const fs::path& episodes,
                            const fs::path& file) {
  SABLE_TRY(const std::string text, read_file(episodes, size_t{4} << 30));
  std::vector<std::string> texts;
  size_t n = 0;
  for (const std::string_view line : split_lines(text)) {
    if (line.empty() || ++n > 1500) continue;
    SABLE_TRY(const Json json, parse_json(line));
    SABLE_TRY(const Episode episode, episode_from_json(json));
    SABLE_TRY(auto parts, texts_between_tokens(episode, pack.texts));
    for (std::string& part : parts) texts.push_back(std::move(part));
  }
  SABLE_TRY(const std::string json,
            train_tokenizer(texts, {.vocab_size = o.vocab, .phrases = fixed_phrases(pack)}));
  return write_file_atomically(file, json);
}

void print_scores(const std::vector<FamilyScore>& scores) {
  for (const FamilyScore& s : scores) {
    fmt::print(
        "  {:8} {:3}/{:3} exact, tokens {:.4f}\n", s.family, s.right, s.n,
        static_cast<double>(s.right_tokens) / static_cast<double>(std::max<size_t>(s.n_tokens, 1)));
  }
  std::fflush(stdout);
}

void print_progress(const Progress& p) {
  fmt::print(
      "step {:5}  {:6.2f} M tokens  {:5.1f} %  loss {:.4f}  index {:.3f}  copied {:.3f}  "
      "written {:.4f}  {:.0f} tokens/s\n",
      p.step, static_cast<double>(p.tokens) / 1e6, 100 * p.fraction, p.loss, p.index_loss, p.copied,
      p.written, p.tokens_per_second);
  std::fflush(stdout);
}

/// The checkpoint folder, in which an older one of ours is replaced where the user named no other.
Result<void> write_model(const Options& o, const Parameters& parameters,
                         const std::vector<float>& values, const std::string& tokenizer_json) {
  const fs::path out = o.out.empty() ? o.work / "checkpoint" : o.out;
  std::error_code ignored;
  if (o.out.empty()) fs::remove_all(out, ignored);
  SABLE_TRY_VOID(write_shipped_checkpoint(parameters, values, tokenizer_json, out));
  // The words that it was trained with belong to the model.
  SABLE_TRY(const std::string words, read_file(o.configs / "models" / "prompt.yaml"));
  SABLE_TRY_VOID(write_file_atomically(out / "prompt.yaml", words));
  fmt::print("wrote {}\n", out.string());
  return {};
}

/// What a run reads, and where it starts.
struct Material {
  std::string tokenizer_json;
  inference::Tokenizer tokenizer;
  Dataset training, held_out;
  Parameters parameters;
  std::vector<float> values;
};

Result<Material> read_material(const Options& o, const AgentPack& pack) {
  SABLE_TRY(std::string tokenizer_json, read_file(o.work / "tokenizer.json"));
  SABLE_TRY(auto tokenizer, inference::Tokenizer::from_json(tokenizer_json));
  SABLE_TRY(Dataset training,
            read_dataset(o.work / "training.jsonl", pack.texts, tokenizer, o.threads));
  SABLE_TRY(Dataset held_out,
            read_dataset(o.work / "test.jsonl", pack.texts, tokenizer, o.threads));
  size_t n_tokens = 0, n_written = 0, longest = 0;
  for (const Sequence& s : training.sequences) {
    n_tokens += s.tokens.size();
    longest = std::max(longest, s.tokens.size());
    for (const uint8_t w : s.by_model) n_written += w;
  }
  fmt::print("{} episodes, {:.2f} M tokens, mean {}, longest {}, {:.1f} % by the model\n",
             training.sequences.size(), static_cast<double>(n_tokens) / 1e6,
             n_tokens / training.sequences.size(), longest,
             100.0 * static_cast<double>(n_written) / static_cast<double>(n_tokens));

  SABLE_TRY(auto parameters, Parameters::of(embedded_config(o.vocab)));
  std::vector<float> values;
  if (o.from.empty()) {
    values = initial_values(parameters, o.seed);
  } else {
    SABLE_TRY(const auto checkpoint, Checkpoint::open(o.from));
    SABLE_TRY(parameters, Parameters::of(checkpoint->config()));
    SABLE_TRY(values, values_of(*checkpoint, parameters));
  }
  fmt::print("{:.2f} M parameters, {:.2f} M active, {:.2f} MB shipped\n",
             static_cast<double>(parameters.total()) / 1e6,
             static_cast<double>(parameters.active()) / 1e6,
             static_cast<double>(parameters.shipped_bytes()) / 1e6);
  return Material{std::move(tokenizer_json), std::move(tokenizer),  std::move(training),
                  std::move(held_out),       std::move(parameters), std::move(values)};
}

Result<void> train(const Options& o, const AgentPack& pack) {
  SABLE_TRY(Material material, read_material(o, pack));
  const auto& [tokenizer_json, tokenizer, training, held_out, parameters, start] = material;
  TrainingPlan plan = o.plan;
  plan.seed = o.seed;
  plan.n_threads = o.threads;
  plan.minutes = o.minutes;
  plan.tokens = o.tokens;
  Trainer trainer(parameters, start, training, copy_tokens(tokenizer),
                  name_tokens(tokenizer, training), plan);
  const fs::path state = o.work / "state.bin";
  if (!o.fresh && fs::exists(state)) {
    SABLE_TRY_VOID(trainer.load(state));
    fmt::print("resumed at step {}\n", trainer.progress().step);
  }
  const double before = trainer.minutes_before();
  const auto begin = Clock::now();
  auto shown = begin, saved = begin, checked = begin;
  for (;;) {
    const double spent = before + minutes_since(begin);
    const double fraction =
        o.tokens > 0 ? trainer.fraction_by_tokens() : spent / std::max(o.minutes, 1e-9);
    if (fraction >= 1) break;
    SABLE_TRY_VOID(trainer.step(fraction));
    trainer.set_minutes(before + minutes_since(begin));
    if (minutes_since(shown) > 0.25) {
      print_progress(trainer.progress());
      shown = Clock::now();
    }
    if (minutes_since(checked) > std::max(2.0, o.minutes / 12)) {
      print_scores(trainer.evaluate(held_out, 12));
      checked = Clock::now();
    }
    if (minutes_since(saved) > 5) {
      SABLE_TRY_VOID(trainer.save(state));
      saved = Clock::now();
    }
  }
  print_progress(trainer.progress());
  SABLE_TRY_VOID(trainer.save(state));
  fmt::print("held out, after {:.1f} min:\n", trainer.minutes_before());
  print_scores(trainer.evaluate(held_out, o.per_family));
  return write_model(o, parameters, trainer.values(), tokenizer_json);
}

/// Episodes and tokenizer, as far as the work folder has none yet.
Result<void> make_data(const Options& o, const AgentPack& pack) {
  std::error_code ignored;
  fs::create_directories(o.work, ignored);
  if (!fs::exists(o.work / "training.jsonl")) {
    EpisodePlan plan = episode_plan(o);
    plan.n_made_up = o.episodes;
    plan.n_real = o.code.empty() ? 0 : o.code_episodes;
    SABLE_TRY_VOID(play_episodes(plan, pack, o.work / "training.jsonl"));
  }
  if (!fs::exists(o.work / "test.jsonl")) {
    EpisodePlan plan = episode_plan(o);
    plan.split = evaluation::Split::test;
    plan.shares = {};
    plan.n_made_up = o.test_episodes;
    SABLE_TRY_VOID(play_episodes(plan, pack, o.work / "test.jsonl"));
  }
  if (!o.from.empty()) {  // its tokens are what its weights know
    SABLE_TRY(const std::string json, read_file(o.from / "tokenizer.json"));
    SABLE_TRY_VOID(write_file_atomically(o.work / "tokenizer.json", json));
  } else if (!fs::exists(o.work / "tokenizer.json")) {
    SABLE_TRY_VOID(make_tokenizer(o, pack, o.work / "training.jsonl", o.work / "tokenizer.json"));
  }
  return {};
}

Result<void> all(const Options& o) {
  SABLE_TRY(const AgentPack pack, AgentPack::read(o.configs));
  SABLE_TRY_VOID(make_data(o, pack));
  return train(o, pack);
}

/// What `training/gpu/train.py` begins with.
Result<void> start_of_run(const Options& o) {
  SABLE_TRY(const AgentPack pack, AgentPack::read(o.configs));
  SABLE_TRY_VOID(make_data(o, pack));
  SABLE_TRY(const Material m, read_material(o, pack));
  const fs::path out = o.out.empty() ? o.work / "start" : o.out;
  SABLE_TRY_VOID(write_f32_checkpoint(m.parameters, m.values, m.tokenizer_json, out));
  return write_sequences(m.training, m.held_out, copy_tokens(m.tokenizer),
                         name_tokens(m.tokenizer, m.training), out / "sequences.safetensors");
}

Result<void> only_episodes(const Options& o) {
  SABLE_TRY(const AgentPack pack, AgentPack::read(o.configs));
  std::error_code ignored;
  fs::create_directories(o.work, ignored);
  EpisodePlan plan = episode_plan(o);
  plan.split = o.split == "test" ? evaluation::Split::test : evaluation::Split::training;
  (o.code.empty() ? plan.n_made_up : plan.n_real) = o.count;
  return play_episodes(plan, pack, o.out.empty() ? o.work / (o.split + ".jsonl") : o.out);
}

/// The weights of a run as it was last saved.
Result<void> export_saved(const Options& o) {
  SABLE_TRY(const std::string tokenizer_json, read_file(o.work / "tokenizer.json"));
  SABLE_TRY(const auto parameters, Parameters::of(embedded_config(o.vocab)));
  SABLE_TRY(const auto values, saved_values(parameters, o.work / "state.bin"));
  return write_model(o, parameters, values, tokenizer_json);
}

Result<void> only_tokenizer(const Options& o) {
  SABLE_TRY(const AgentPack pack, AgentPack::read(o.configs));
  return make_tokenizer(o, pack, o.work / "training.jsonl", o.work / "tokenizer.json");
}

/// What is learned already is not to be lost again: low rates, no copy problems beyond the tenth,
/// numbers as shipped from the first step. What the user said stands.
void go_on_gently(const CLI::App& command, TrainingPlan& plan) {
  const auto set = [&](const char* option, auto& value, auto gentle) {
    if (command.count(option) == 0) value = gentle;
  };
  set("--muon-rate", plan.rates.muon, 1.2e-3F);
  set("--adamw-rate", plan.rates.adamw, 4e-4F);
  set("--copy-until", plan.copy_until, 0.0);
  set("--decay-from", plan.decay_from, 0.2);
  set("--round-from", plan.round_from, 0.0);
  set("--batch-first", plan.batch_tokens_first, size_t{4096});
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  o.launcher = fs::absolute(fs::path(argv[0])).parent_path() / "sable-launcher";
  CLI::App app{"Makes Sable's embedded model: data, tokenizer, weights"};
  app.require_subcommand(1);
  const auto common = [&](CLI::App* command) {
    command->add_option("--configs", o.configs, "folder of configs/")->capture_default_str();
    command->add_option("--work", o.work, "folder for data, state and result")
        ->capture_default_str();
    command->add_option("--seed", o.seed, "of data and weights")->capture_default_str();
    command->add_option("--vocab", o.vocab, "size of the vocabulary")->capture_default_str();
    return command;
  };
  std::string shares;
  const auto episodes_of = [&](CLI::App* command) {
    command->add_option("--shares", shares,
                        "how much of the episodes belongs to a family, as in rename=0.3,fix=0.2; "
                        "those not named share the rest");
    command->add_option("--code", o.code,
                        "folder with a Debian source package in each folder: episodes are also on "
                        "its files, as far as their licences allow");
  };
  const auto all_data = [&](CLI::App* command) {
    episodes_of(command);
    command->add_option("--episodes", o.episodes, "for training")->capture_default_str();
    command->add_option("--code-episodes", o.code_episodes, "for training, on files of --code")
        ->capture_default_str();
    command->add_option("--test-episodes", o.test_episodes, "held out")->capture_default_str();
  };
  CLI::App* make = common(app.add_subcommand("model", "everything that is not there yet; resumes"));
  all_data(make);
  auto* minutes = make->add_option("--minutes", o.minutes, "length of the run by the clock");
  auto* tokens =
      make->add_option("--tokens", o.tokens, "length in tokens: the same bits every time");
  minutes->excludes(tokens);
  make->add_option("--threads", o.threads)->capture_default_str();
  make->add_option("--from", o.from,
                   "checkpoint to go on from, by its weights and tokenizer alone; the defaults of "
                   "the run are gentler then (docs/training.md)");
  make->add_option("--out", o.out, "folder for the checkpoint; default WORK/checkpoint");
  make->add_option("--per-family", o.per_family, "held-out episodes scored at the end");
  make->add_option("--muon-rate", o.plan.rates.muon)->capture_default_str();
  make->add_option("--adamw-rate", o.plan.rates.adamw)->capture_default_str();
  make->add_option("--copy-until", o.plan.copy_until, "part of the run with copy problems")
      ->capture_default_str();
  make->add_option("--long-copies", o.plan.long_copies, "share of copy problems that are long")
      ->capture_default_str();
  make->add_option("--renamed", o.plan.renamed, "share of episodes that are read with other names")
      ->capture_default_str();
  make->add_option("--decay-from", o.plan.decay_from, "part of the run at full rates")
      ->capture_default_str();
  make->add_option("--round-from", o.plan.round_from, "from where on numbers are as shipped")
      ->capture_default_str();
  make->add_option("--longest", o.plan.tokens_in_sequence_max,
                   "episodes of more tokens are left out")
      ->capture_default_str();
  make->add_option("--batch-first", o.plan.batch_tokens_first, "tokens in a step at the beginning")
      ->capture_default_str();
  make->add_option("--batch-last", o.plan.batch_tokens_last, "tokens in a step at the end")
      ->capture_default_str();
  make->add_flag("--fresh", o.fresh, "leave a saved run aside and begin anew");
  CLI::App* start = common(app.add_subcommand(
      "start", "write what a run on a GPU begins with: weights in F32 and encoded episodes"));
  all_data(start);
  start->add_option("--from", o.from,
                    "checkpoint whose weights it begins with; default fresh ones");
  start->add_option("--out", o.out, "a new folder; default WORK/start");
  CLI::App* data = common(app.add_subcommand("episodes", "only play episodes"));
  episodes_of(data);
  data->add_option("--split", o.split, "training or test")
      ->check(CLI::IsMember({"training", "test"}));
  data->add_option("--count", o.count)->capture_default_str();
  data->add_option("--out", o.out, "file of JSON lines");
  CLI::App* tokenizer = common(app.add_subcommand("tokenizer", "only train the tokenizer"));
  CLI::App* exporting = common(app.add_subcommand(
      "export", "write the weights of a run's last saved state, which it leaves as it is"));
  exporting->add_option("--out", o.out, "a new folder for the checkpoint")->required();
  CLI11_PARSE(app, argc, argv);
  if (*make && o.minutes <= 0 && o.tokens == 0) o.minutes = 90;
  if (!o.from.empty()) go_on_gently(*make, o.plan);
  auto parsed = parse_family_shares(shares);
  if (parsed) o.shares = std::move(*parsed);
  const Result<void> done = !parsed      ? fail(std::move(parsed.error()))
                            : *data      ? only_episodes(o)
                            : *tokenizer ? only_tokenizer(o)
                            : *exporting ? export_saved(o)
                            : *start     ? start_of_run(o)
                                         : all(o);
  if (done) return 0;
  fmt::print(stderr, "sable-train: {}\n", done.error().message);
  return 1;
}
