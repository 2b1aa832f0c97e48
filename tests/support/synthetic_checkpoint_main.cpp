// synthetic_checkpoint: writes a random model for benches.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include <fmt/format.h>

#include "inference/files/model_info.h"
#include "tests/support/synthetic_checkpoint.h"

using namespace sable;
using namespace sable::inference;

namespace {

constexpr const char* kHelp =
    "synthetic_checkpoint OUTPUT [--NAME VALUE]...\n"
    "Writes a model with random weights: OUTPUT.gguf is one file, any other name a folder of "
    "safetensors.\n"
    "Default: 1.4 billion parameters, a quarter active, Q8_0 and MXFP4 (folder: F8_E4M3 and "
    "F4_E2M1).\n"
    "  --dense TYPE --experts TYPE --plain TYPE --seed N\n"
    "  --ratios 0,4,128,...   one a layer (sets the number of layers), and one 0 for each --mtp "
    "layer\n"
    "  --mtp N --hidden N --vocab N --heads N --head-dim N --q-lora N --o-lora N --o-groups N "
    "--window N\n"
    "  --index-heads N --index-dim N --topk N --n-experts N --per-token N --moe-inter N "
    "--hash-layers N\n"
    "  --original-context N --context N\n";

std::map<std::string, int64_t*> integers_of(ModelConfig& c) {
  return {{"hidden", &c.hidden_size},
          {"vocab", &c.vocab_size},
          {"heads", &c.num_attention_heads},
          {"head-dim", &c.head_dim},
          {"q-lora", &c.q_lora_rank},
          {"o-lora", &c.o_lora_rank},
          {"o-groups", &c.o_groups},
          {"window", &c.sliding_window},
          {"index-heads", &c.index_n_heads},
          {"index-dim", &c.index_head_dim},
          {"topk", &c.index_topk},
          {"n-experts", &c.n_routed_experts},
          {"per-token", &c.num_experts_per_tok},
          {"moe-inter", &c.moe_intermediate_size},
          {"hash-layers", &c.num_hash_layers},
          {"mtp", &c.num_nextn_predict_layers},
          {"original-context", &c.rope_original_max_position_embeddings},
          {"context", &c.max_position_embeddings}};
}

bool parse_integer(const std::string& text, int64_t& out) {
  char* end = nullptr;
  out = std::strtoll(text.c_str(), &end, 10);
  return !text.empty() && *end == '\0';
}

bool parse_type(const std::string& text, DType& out) {
  for (int i = 0; i <= static_cast<int>(DType::iq2_xxs); ++i) {
    if (name_of(static_cast<DType>(i)) != text) continue;
    out = static_cast<DType>(i);
    return true;
  }
  return false;
}

bool parse_ratios(const std::string& text, std::vector<int64_t>& out) {
  out.clear();
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (!parse_integer(text.substr(at, comma - at), out.emplace_back())) return false;
    at = comma + 1;
  }
  return true;
}

bool parse(int argc, char** argv, test::SyntheticOptions& options) {
  auto integers = integers_of(options.config);
  for (int i = 2; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (!flag.starts_with("--") || i + 1 >= argc) return false;
    const std::string name = flag.substr(2), value = argv[i + 1];
    int64_t seed = 0;
    bool ok = false;
    if (name == "dense") {
      ok = parse_type(value, options.dense);
    } else if (name == "experts") {
      ok = parse_type(value, options.experts);
    } else if (name == "plain") {
      ok = parse_type(value, options.plain);
    } else if (name == "ratios") {
      ok = parse_ratios(value, options.config.compress_ratios);
    } else if (name == "seed") {
      ok = parse_integer(value, seed);
      options.seed = static_cast<uint64_t>(seed);
    } else if (const auto it = integers.find(name); it != integers.end()) {
      ok = parse_integer(value, *it->second);
    }
    if (!ok) return false;
  }
  ModelConfig& c = options.config;
  c.num_hidden_layers = static_cast<int64_t>(c.compress_ratios.size()) - c.num_nextn_predict_layers;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  test::SyntheticOptions options;
  const std::string output = argc > 1 ? argv[1] : "";
  if (!output.ends_with(".gguf")) {
    options.container = Container::safetensors;
    options.dense = DType::f8_e4m3;
    options.experts = DType::f4_e2m1;
  }
  if (output.empty() || output.starts_with("-") || !parse(argc, argv, options)) {
    std::fputs(kHelp, stderr);
    return 2;
  }
  if (const auto written = test::write_synthetic_checkpoint(output, options); !written) {
    std::fputs((written.error().message + "\n").c_str(), stderr);
    return 1;
  }
  const auto model = Checkpoint::open(output);
  if (!model) {
    std::fputs((model.error().message + "\n").c_str(), stderr);
    return 1;
  }
  std::fputs(to_text(model_info(**model)).c_str(), stdout);
  return 0;
}
