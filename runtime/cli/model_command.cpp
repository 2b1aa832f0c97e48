// `sable model`: the inference core by hand.
#include "runtime/cli/model_command.h"

#include "runtime/cli/commands.h"

namespace sable::runtime {

namespace {

using ModelAction = int (*)(const Program&, const ModelOptions&);

/// --model PATH.
void add_model_path(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--model", options.path,
                  "A folder with config.json and safetensors, or a GGUF file")
      ->type_name("PATH")
      ->required();
}

/// How an engine computes; `arithmetic` is what holds when nothing is said.
void add_engine_settings(CLI::App& command, ModelOptions& options, const std::string& arithmetic) {
  const auto on_or_off = CLI::IsMember({"on", "off"});
  command
      .add_option("--fake-quant", options.fake_quant,
                  "Round KV entries to FP8 and the indexer to FP4")
      ->check(on_or_off)
      ->capture_default_str();
  command
      .add_option("--activation-quant", options.activation_quant,
                  "Round the inputs of FP8 and FP4 matrices to FP8")
      ->check(on_or_off)
      ->capture_default_str();
  command
      .add_option("--arithmetic", options.arithmetic,
                  "Caches in FP32 (f32), or as FP8 and FP4 (packed); default " + arithmetic)
      ->check(CLI::IsMember({"f32", "packed"}));
  command.add_option("--backend", options.backend, "cpu, or reference: plain loops")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--chunk", options.chunk, "Tokens in one step; changes no result")
      ->check(CLI::Range(size_t{1}, size_t{4096}))
      ->capture_default_str();
  command.add_option("--threads", options.n_threads, "Default: one for each processor")
      ->check(CLI::Range(size_t{1}, size_t{1024}));
  command
      .add_option("--resident", options.resident_experts_max,
                  "Bytes of routed experts that stay in memory, as 4096, 16GiB...; default: what "
                  "the system keeps; changes no result")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
}

}  // namespace

inference::EngineOptions ModelOptions::engine() const {
  return {.arithmetic =
              arithmetic == "f32" ? inference::Arithmetic::f32 : inference::Arithmetic::packed,
          .fake_quant = fake_quant == "on",
          .activation_quant = activation_quant == "on",
          .backend = backend,
          .n_threads = n_threads,
          .resident_experts_max = resident_experts_max,
          .rows_in_step_max = chunk,
          // Nobody else waits for this engine: a step may last as long as its chunk takes.
          .step_target = std::chrono::hours(1)};
}

void add_model_commands(CLI::App& app, Program& program, Action& chosen) {
  auto* group = app.add_subcommand("model", "The inference core, by hand");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, ModelAction action) {
    auto* command = group->add_subcommand(name, help);
    command->add_flag("--json", program.json, "JSON instead of text");
    const auto options = std::make_shared<ModelOptions>();
    command->callback([options, action, &chosen] {
      chosen = [options, action](const Program& running) { return action(running, *options); };
    });
    return std::pair{command, options};
  };

  add("list", "Models by name, and endpoints", model_list_action);

  const auto [card, card_options] =
      add("card", "What a model by name was trained with, and whether this program has the same",
          model_card_action);
  card->add_option("name", card_options->path, "Its name")->required();

  const auto [info, info_options] =
      add("info", "What a model is and costs, without reading its weights", model_info_action);
  info->add_option("path", info_options->path,
                   "A folder with config.json and safetensors, or a GGUF file")
      ->required();
  info->add_flag("--verify", info_options->verify, "Read every weight: NaN, ranges, checksums");

  const auto [tokenize, tokenize_options] =
      add("tokenize", "Text to token ids, one a line, and back", model_tokenize_action);
  add_model_path(*tokenize, *tokenize_options);
  tokenize->add_option("text", tokenize_options->text, "The text (default: standard input)");
  tokenize->add_flag("--decode", tokenize_options->decode, "From ids to text");
  tokenize->add_flag("--as-text", tokenize_options->as_text,
                     "Special tokens written out in the text are text like any other");

  const auto [logits, logits_options] =
      add("logits", "The logits behind every token of a file of ids", model_logits_action);
  logits_options->arithmetic = "f32";
  add_model_path(*logits, *logits_options);
  logits->add_option("--tokens-file", logits_options->tokens_file, "Token ids, one a line")
      ->type_name("FILE")
      ->required();
  logits
      ->add_option("--output", logits_options->output,
                   "float32 little-endian, a row of vocabulary size for each position")
      ->type_name("FILE")
      ->required();
  add_engine_settings(*logits, *logits_options, "f32");

  const auto [convert, convert_options] =
      add("convert", "Write a model in another container or other types", model_convert_action);
  add_model_path(*convert, *convert_options);
  convert->add_option("--to", convert_options->to, "The container: gguf or safetensors")
      ->check(CLI::IsMember({"gguf", "safetensors"}))
      ->required();
  convert
      ->add_option("--dense", convert_options->dense,
                   "Attention, shared experts and head; default Q8_0, or F8_E4M3 in safetensors")
      ->type_name("TYPE");
  convert
      ->add_option("--experts", convert_options->experts,
                   "Routed experts; default MXFP4, or F4_E2M1 in safetensors")
      ->type_name("TYPE");
  convert->add_option("--output", convert_options->output, "The new file or folder")
      ->type_name("PATH")
      ->required();

  const auto [generate, generate_options] =
      add("generate", "Go on with a text", model_generate_action);
  generate_options->arithmetic = "packed";
  add_model_path(*generate, *generate_options);
  generate->add_option("--prompt", generate_options->prompt, "The text")->type_name("TEXT");
  generate->add_option("--prompt-file", generate_options->prompt_file, "A file with the text")
      ->type_name("FILE");
  generate->add_option("--max-tokens", generate_options->n_tokens_max, "At most so many")
      ->capture_default_str();
  inference::SamplingParameters& sampling = generate_options->sampling;
  generate->add_option("--temperature", sampling.temperature, "0: always the best token")
      ->capture_default_str();
  generate->add_option("--top-k", sampling.top_k, "Only the K best; 0: no limit")
      ->capture_default_str();
  generate->add_option("--top-p", sampling.top_p, "Only the best that have this share together")
      ->capture_default_str();
  generate->add_option("--min-p", sampling.min_p, "Only those with this share of the best one's")
      ->capture_default_str();
  generate->add_option("--seed", sampling.seed, "The same seed picks the same tokens")
      ->capture_default_str();
  add_engine_settings(*generate, *generate_options, "packed");

  const auto [bench, bench_options] = add(
      "bench", "How fast a model is here, beside the limit that memory sets", model_bench_action);
  bench_options->arithmetic = "packed";
  bench_options->chunk = 512;
  add_model_path(*bench, *bench_options);
  inference::SpeedOptions& speed = bench_options->speed;
  const auto count = CLI::Range(uint64_t{1}, uint64_t{1} << 30);
  bench->add_option("--prompt-tokens", speed.n_prompt, "Tokens of the prefill that is measured")
      ->check(count)
      ->capture_default_str();
  bench->add_option("--gen-tokens", speed.n_gen, "Tokens decoded in each sequence")
      ->check(count)
      ->capture_default_str();
  bench->add_option("--context", speed.n_context, "Tokens that are there before the prompt")
      ->capture_default_str();
  bench->add_option("--sequences", speed.n_sequences, "Sequences decoded together")
      ->check(CLI::Range(size_t{1}, size_t{4096}))
      ->capture_default_str();
  add_engine_settings(*bench, *bench_options, "packed");
}

}  // namespace sable::runtime
