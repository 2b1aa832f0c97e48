// `sable model generate`: goes on with a text, printing tokens as they are picked.
#include <chrono>
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/cli/model_command.h"
#include "runtime/cli/model_command_interrupt.h"
#include "runtime/cli/model_command_progress.h"

namespace sable::runtime {

namespace {

using inference::TokenId;

/// How many tokens in how much time.
struct Speed {
  size_t n_tokens = 0;
  std::chrono::duration<double> time{0};

  void add(const inference::StepReport& step) {
    n_tokens += step.n_tokens;
    time += step.time;
  }
  double tokens_per_second() const {
    return time.count() > 0 ? static_cast<double>(n_tokens) / time.count() : 0;
  }
  Json json() const {
    return {{"tokens", n_tokens},
            {"seconds", time.count()},
            {"tokens_per_second", tokens_per_second()}};
  }
  std::string text() const {
    return fmt::format("{} tokens in {:.2f} s ({:.1f} tokens/s)", n_tokens, time.count(),
                       tokens_per_second());
  }
};

struct Generated {
  std::vector<TokenId> ids;
  std::string text;
  /// Or "stop" (the model ended its text), "context" (no room for more), "interrupted".
  const char* reason = "length";
  Speed prefill, decode;
};

/// The prompt as the model sees it: a begin token in front, unless the text writes its own.
Result<std::vector<TokenId>> prompt_ids(const inference::Tokenizer& tokenizer,
                                        const std::string& text) {
  SABLE_TRY(auto ids, tokenizer.encode(text, inference::AddedTokens::recognise));
  const auto begin = tokenizer.bos();
  if (begin && tokenizer.has(*begin) && (ids.empty() || ids.front() != *begin)) {
    ids.insert(ids.begin(), *begin);
  }
  if (ids.empty()) return fail(ErrorCode::invalid_input, "the prompt is empty");
  return ids;
}

/// Streams text to standard output, made inert where a person sees it.
class TextStream {
 public:
  explicit TextStream(bool quiet) : quiet_(quiet), is_terminal_(::isatty(STDOUT_FILENO) == 1) {}

  Result<void> write(const std::string& text) const {
    if (quiet_ || text.empty()) return {};
    return write_all(STDOUT_FILENO, is_terminal_ ? escape_controls(text) : text);
  }

 private:
  bool quiet_, is_terminal_;
};

/// Picks and prints until the model ends its text, the limit is reached or somebody stops it.
Result<void> decode(inference::Engine& engine, inference::Sequence& sequence,
                    const inference::Tokenizer& tokenizer, const ModelOptions& options,
                    const TextStream& out, const std::stop_token& stop, Generated& generated) {
  inference::Detokenizer detokenizer(tokenizer);
  inference::Sampler sampler;
  inference::Sequence* const stepped[] = {&sequence};
  const auto show = [&](const std::string& text) {
    generated.text += text;
    return out.write(text);
  };
  while (generated.ids.size() < options.n_tokens_max) {
    SABLE_TRY(const auto picked,
              sampler.sample(options.sampling,
                             {.logits = sequence.logits(), .position = sequence.position()}));
    if (picked.id == tokenizer.eos()) {
      generated.reason = "stop";
      break;
    }
    generated.ids.push_back(picked.id);
    // A vocabulary may have more rows than the tokenizer has tokens; such an id has no text.
    if (tokenizer.has(picked.id)) {
      SABLE_TRY(const auto text, detokenizer.push(picked.id));
      SABLE_TRY_VOID(show(text));
    }
    if (generated.ids.size() == options.n_tokens_max) break;
    if (sequence.position() >= engine.options().context_max) {
      generated.reason = "context";
      break;
    }
    SABLE_TRY_VOID(sequence.append({{picked.id}}));
    const auto step = engine.step(stepped, stop);
    if (!step && stop.stop_requested()) {
      generated.reason = "interrupted";
      break;
    }
    if (!step) return fail(step.error());
    generated.decode.add(*step);
  }
  return show(detokenizer.finish());
}

Result<Generated> generate(const ModelOptions& options, bool quiet, const std::stop_token& stop) {
  std::string prompt = options.prompt;
  if (!options.prompt_file.empty()) {
    SABLE_TRY(prompt, read_file(options.prompt_file, inference::Tokenizer::kTextBytesMax));
  }
  SABLE_TRY(const auto engine, inference::Engine::open(options.path, options.engine()));
  if (!engine->tokenizer()) return fail(engine->tokenizer().error());
  const inference::Tokenizer& tokenizer = *engine->tokenizer();
  SABLE_TRY(const auto ids, prompt_ids(tokenizer, prompt));
  const auto sequence = engine->start();
  SABLE_TRY_VOID(sequence->append(ids));

  Generated generated;
  {
    ProgressLine line("reading the prompt");
    inference::Sequence* const stepped[] = {sequence.get()};
    while (sequence->n_waiting() > 0) {
      SABLE_TRY(const auto step, engine->step(stepped, stop));
      generated.prefill.add(step);
      line.show(sequence->position(), ids.size());
    }
  }
  SABLE_TRY_VOID(
      decode(*engine, *sequence, tokenizer, options, TextStream(quiet), stop, generated));
  return generated;
}

}  // namespace

int model_generate_action(const Program& program, const ModelOptions& options) {
  if (options.prompt.empty() == options.prompt_file.empty()) {
    return program.fail_with(
        {ErrorCode::invalid_input, "give the prompt either with --prompt or with --prompt-file"},
        2);
  }
  if (const auto checked = inference::check(options.sampling); !checked) {
    return program.fail_with(checked.error(), 2);
  }
  const Interrupt interrupt;
  const auto generated = generate(options, program.json, interrupt.token());
  if (!generated) return program.fail_with(generated.error(), interrupt.status_or(1));
  if (program.json) {
    const Json json{{"text", generated->text},
                    {"ids", generated->ids},
                    {"reason", generated->reason},
                    {"prefill", generated->prefill.json()},
                    {"decode", generated->decode.json()}};
    std::printf("%s\n", dump_json(json).c_str());
  } else {
    std::fprintf(stderr, "\nprompt: %s; generated: %s\n", generated->prefill.text().c_str(),
                 generated->decode.text().c_str());
  }
  return interrupt.status_or(0);
}

}  // namespace sable::runtime
