// fuzz_seeds FOLDER: small models and patches to start the fuzzers from.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "tests/support/synthetic_checkpoint.h"

using namespace sable;
using namespace sable::inference;

namespace {

/// A file, the byte that parts them, and a patch in each of the two forms.
void write_patches(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const std::string file = "int one() {\n  return 1;\n}\n\nint two() {\n  return 2;\n}\n\xFF";
  std::ofstream(folder / "unified", std::ios::binary)
      << file << "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -5,3 +5,3 @@ int two\n int two() {\n"
      << "-  return 2;\n+  return 3;\n }\n\\ No newline at end of file\n";
  std::ofstream(folder / "envelope", std::ios::binary)
      << file << "*** Begin Patch\n*** Update File: f\n*** Move to: g\n@@ int two() {\n"
      << "-  return 2;\n+  return 3;\n }\n*** End of File\n*** Add File: h\n+one\n"
      << "*** Delete File: i\n*** End Patch\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  namespace fs = std::filesystem;
  const fs::path folder = argv[1];
  write_patches(folder / "patch");
  test::SyntheticOptions options;
  ModelConfig& c = options.config;
  c.vocab_size = 8;
  c.hidden_size = c.q_lora_rank = c.moe_intermediate_size = c.o_lora_rank = 32;
  c.num_attention_heads = c.o_groups = c.index_n_heads = 1;
  c.head_dim = 66;
  c.qk_rope_head_dim = 2;
  c.index_head_dim = 32;
  c.hc_mult = 1;
  c.n_routed_experts = c.num_experts_per_tok = 2;
  c.num_hash_layers = 1;
  fs::create_directories(folder / "gguf");
  fs::create_directories(folder / "safetensors");
  fs::create_directories(folder / "config");
  options.dense = DType::bf16;  // wo_a has rows of 66 elements
  for (const auto& ratios : {std::vector<int64_t>{0}, {4}, {128, 0}}) {
    c.compress_ratios = ratios;
    c.num_hidden_layers = static_cast<int64_t>(ratios.size());
    const std::string name = "ratio" + std::to_string(ratios[0]);
    options.container = Container::gguf;
    options.experts = DType::mxfp4;
    fs::remove(folder / "gguf" / name);
    if (auto ok = test::write_synthetic_checkpoint(folder / "gguf" / name, options); !ok) {
      std::puts(ok.error().message.c_str());
      return 1;
    }
    options.container = Container::safetensors;
    options.experts = DType::bf16;
    fs::remove_all(folder / name);
    if (auto ok = test::write_synthetic_checkpoint(folder / name, options); !ok) {
      std::puts(ok.error().message.c_str());
      return 1;
    }
    fs::rename(folder / name / "model.safetensors", folder / "safetensors" / name);
    fs::rename(folder / name / "config.json", folder / "config" / name);
    fs::remove_all(folder / name);
  }
  return 0;
}
