// The actions of `sable model`, each in the file named after it, and what they share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inference/inference.h"
#include "runtime/program.h"

namespace sable::runtime {

/// What the commands take; each reads its own part. Names as on the command line.
struct ModelOptions {
  std::string path;  ///< PATH of info, NAME of card, --model of the others

  bool verify = false;  // info

  std::optional<std::string> text;  // tokenize
  bool decode = false, as_text = false;

  std::string tokens_file, output;  // logits, convert

  std::string to, dense, experts;  // convert

  std::string prompt, prompt_file;  // generate
  uint64_t n_tokens_max = 256;
  inference::SamplingParameters sampling;

  inference::SpeedOptions speed;  // bench

  // logits, generate, bench
  std::string fake_quant = "on", activation_quant = "on";
  std::string arithmetic;
  std::string backend = "cpu";
  size_t chunk = 128;
  size_t n_threads = 0;
  uint64_t resident_experts_max = 0;

  /// The engine's settings that these ask for.
  inference::EngineOptions engine() const;
};

int model_list_action(const Program& program, const ModelOptions& options);
int model_card_action(const Program& program, const ModelOptions& options);
int model_info_action(const Program& program, const ModelOptions& options);
int model_tokenize_action(const Program& program, const ModelOptions& options);
int model_logits_action(const Program& program, const ModelOptions& options);
int model_convert_action(const Program& program, const ModelOptions& options);
int model_generate_action(const Program& program, const ModelOptions& options);
int model_bench_action(const Program& program, const ModelOptions& options);

/// Token ids in decimal, one a line or with blanks between. Errors name `source`, line and word.
Result<std::vector<inference::TokenId>> parse_token_ids(std::string_view text,
                                                        const std::string& source);

}  // namespace sable::runtime
