// The built-in engine as the model of sessions.
#pragma once

#include <memory>
#include <string>

#include "agent/constraint/mask_vocabulary.h"
#include "agent/prompt/conversation.h"
#include "agent/prompt/encode_prompt.h"
#include "agent/provider.h"
#include "agent/token_source.h"

namespace sable::agent {

struct EngineModelOptions {
  std::string name;  ///< for people and the log: the model's name or file
  PromptTexts texts;
  bool thinking = true;
  Effort effort = Effort::low;
  inference::SamplingParameters sampling;  ///< what holds where a request says nothing
  uint64_t reply_tokens_max = 0;           ///< no reply is longer, whatever is asked; 0: no limit
};

/// What all sessions on one model share. Immutable.
class EngineModel {
 public:
  /// unsupported when the tokenizer is not one of this prompt format. `source` outlives the model.
  static Result<std::shared_ptr<const EngineModel>> create(TokenSource& source,
                                                           EngineModelOptions options);

  TokenSource& source() const { return source_; }
  const EngineModelOptions& options() const { return options_; }
  const PromptTokens& tokens() const { return tokens_; }
  const std::shared_ptr<const MaskVocabulary>& vocabulary() const { return vocabulary_; }

 private:
  EngineModel(TokenSource& source, EngineModelOptions options)
      : source_(source), options_(std::move(options)) {}

  TokenSource& source_;
  EngineModelOptions options_;
  PromptTokens tokens_{};
  std::shared_ptr<const MaskVocabulary> vocabulary_;
};

/// A provider for one session: keeps its token stream. Prompts are encoded and schemas compiled on
/// `workers`, which outlives it. Calls are constrained to the offered tools, so that they always
/// parse and fit what of their schemas a grammar carries (CallGrammar). A reply's replay record has
/// its tokens; the next prompt repeats them exactly.
std::unique_ptr<Provider> make_engine_provider(std::shared_ptr<const EngineModel> model,
                                               asio::thread_pool& workers);

}  // namespace sable::agent
