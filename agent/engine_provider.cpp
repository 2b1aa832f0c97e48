#include "agent/engine_provider.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/constraint/reply_mask.h"
#include "agent/dsml/reply_parser.h"
#include "base/digest.h"
#include "base/task_group.h"

namespace sable::agent {

namespace {

/// A request made ready on a worker.
struct Prepared {
  TokenRequest tokens;
  std::shared_ptr<const CallGrammar> grammar;
  Digest tools{};
};

Digest digest_of(const std::vector<OfferedTool>& tools) {
  Sha256 hash;
  for (const auto& tool : tools) {
    hash.update(dump_json(Json{tool.name, tool.parameters}));
    hash.update("\n");
  }
  return hash.finish();
}

class EngineProvider final : public Provider {
 public:
  EngineProvider(std::shared_ptr<const EngineModel> model, asio::thread_pool& workers)
      : model_(std::move(model)), workers_(workers), sequence_(model_->source().start()) {}

  std::string name() const override { return "built-in"; }
  std::string model() const override { return model_->options().name; }

  asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink on_delta) override {
    const auto asked = std::make_shared<const StepRequest>(std::move(request));
    const std::function<Result<Prepared>()> work = [this, asked] { return prepare(*asked); };
    auto prepared = co_await run_blocking(workers_, work);
    if (!prepared) co_return fail(std::move(prepared.error()));
    grammar_ = prepared->grammar;
    tools_ = prepared->tools;
    const uint64_t n_prompt = prepared->tokens.prompt.size();
    const auto sampling = prepared->tokens.sampling;

    ReplyParser parser(model_->options().thinking, std::move(on_delta));
    const TokenSymbols& symbols = model_->vocabulary()->symbols();
    TokenSink sink = [&](std::span<const inference::TokenId> tokens) {
      for (const auto token : tokens) parser.push(symbols.of(token));
    };
    auto generating = sequence_->generate(std::move(prepared->tokens), std::move(sink));
    auto generated = co_await std::move(generating);
    if (!generated) co_return fail(std::move(generated.error()));
    auto reply = reply_of(std::move(*generated), parser, n_prompt, sampling);
    if (!reply || reply->tool_calls.empty()) sequence_->rest();
    co_return reply;
  }

 private:
  /// Names the model and how its replies begin: tokens sampled in another mode do not fit.
  std::string replay_key() const {
    return model_->source().fingerprint() + (model_->options().thinking ? "/thinking" : "/chat");
  }

  /// Runs on a worker; reads only what does not change while a request is under way.
  Result<Prepared> prepare(const StepRequest& request) const {
    const auto& options = model_->options();
    const auto messages = prompt_messages(request.messages, request.tools, replay_key());
    SABLE_TRY(const auto prompt,
              render_prompt(messages, options.texts,
                            {.thinking = options.thinking, .effort = options.effort}));
    SABLE_TRY(auto encoded, encode_prompt(prompt, model_->source().tokenizer()));
    Prepared prepared;
    prepared.tools = digest_of(request.tools);
    prepared.grammar = grammar_ != nullptr && prepared.tools == tools_
                           ? grammar_
                           : CallGrammar::compile(request.tools);
    auto& tokens = prepared.tokens;
    tokens.session = request.session;
    tokens.prompt = std::move(encoded.ids);
    tokens.end = model_->tokens().end;
    tokens.n_tokens_max = request.sampling.output_tokens_max;
    if (options.reply_tokens_max > 0) {
      tokens.n_tokens_max = std::min(tokens.n_tokens_max, options.reply_tokens_max);
    }
    tokens.sampling = options.sampling;
    const auto& asked = request.sampling;
    if (asked.temperature) tokens.sampling.temperature = *asked.temperature;
    if (asked.top_p) tokens.sampling.top_p = *asked.top_p;
    if (asked.seed) tokens.sampling.seed = *asked.seed;
    SABLE_TRY_VOID(inference::check(tokens.sampling));
    tokens.mask =
        std::make_unique<ReplyMask>(model_->vocabulary(), prepared.grammar, options.thinking);
    return prepared;
  }

  Result<Reply> reply_of(TokenReply generated, ReplyParser& parser, uint64_t n_prompt,
                         const inference::SamplingParameters& sampling) const {
    const bool complete = generated.end == TokenReply::End::end_token;
    if (complete) parser.push(std::array{kEndSymbol});
    auto parsed = parser.finish();
    if (generated.end == TokenReply::End::context) {
      return fail(ErrorCode::exhausted,
                  fmt::format("the conversation has reached the model's context of {} tokens; "
                              "begin a new session",
                              model_->source().context_max()));
    }
    Reply reply{.text = std::move(parsed.text),
                .reasoning = std::move(parsed.reasoning),
                .tool_calls = std::move(parsed.calls)};
    reply.finish = !complete                  ? FinishReason::length
                   : reply.tool_calls.empty() ? FinishReason::stop
                                              : FinishReason::tool_calls;
    reply.usage = {.input_tokens = n_prompt,
                   .cached_tokens = generated.n_cached,
                   .output_tokens = generated.tokens.size() + (complete ? 1 : 0)};
    reply.replay = to_json(ReplayRecord{.model = replay_key(),
                                        .tokens = std::move(generated.tokens),
                                        .complete = complete,
                                        .sampling = sampling});
    return reply;
  }

  std::shared_ptr<const EngineModel> model_;
  asio::thread_pool& workers_;
  std::unique_ptr<TokenSequence> sequence_;
  std::shared_ptr<const CallGrammar> grammar_;  // of the tools with this digest
  Digest tools_{};
};

}  // namespace

Result<std::shared_ptr<const EngineModel>> EngineModel::create(TokenSource& source,
                                                               EngineModelOptions options) {
  SABLE_TRY_VOID(inference::check(options.sampling));
  std::shared_ptr<EngineModel> model(new EngineModel(source, std::move(options)));
  SABLE_TRY(model->tokens_, prompt_tokens(source.tokenizer()));
  SABLE_TRY(model->vocabulary_, MaskVocabulary::create(source.tokenizer()));
  return std::shared_ptr<const EngineModel>(std::move(model));
}

std::unique_ptr<Provider> make_engine_provider(std::shared_ptr<const EngineModel> model,
                                               asio::thread_pool& workers) {
  return std::make_unique<EngineProvider>(std::move(model), workers);
}

}  // namespace sable::agent
