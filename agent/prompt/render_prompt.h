// A conversation as the pieces of a V4 prompt: structure of ours, and text of anybody's.
//
// The format is that of DeepSeek's encoding_dsv4.py, with two differences on purpose: text from
// people, tools and files cannot become a token, whatever it says; and the closing tag of a tool
// result inside a result is made harmless.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/prompt/prompt_texts.h"
#include "agent/provider.h"
#include "inference/inference.h"

namespace sable::agent {

enum class PromptRole { system, developer, user, assistant, tool, latest_reminder };

/// One message as the format knows it; each field is for the roles that it names.
struct PromptMessage {
  PromptRole role = PromptRole::user;
  std::string content;
  std::string reasoning;                  ///< assistant
  std::vector<RequestedCall> tool_calls;  ///< assistant
  std::string tool_call_id;               ///< tool
  std::vector<Json> tools;                ///< system, developer: {"name", "description", ...}
  std::optional<Json> response_format;    ///< system, developer: a JSON Schema
  std::string task;                       ///< user, assistant: "action", "title", ...; or empty
  bool without_end = false;               ///< assistant: the text goes on
  /// assistant: the very tokens that were sampled behind the opening of the reply, without the end
  /// token; they stand for reasoning, content and calls.
  std::optional<std::vector<inference::TokenId>> sampled;
};

enum class Effort { low, high, max };

struct PromptOptions {
  bool thinking = true;
  Effort effort = Effort::low;  ///< counts only with thinking
  bool drop_thinking = true;    ///< of former turns; with tools in the conversation it is kept
  bool begin = true;            ///< with the begin token
};

struct PromptPiece {
  enum class Kind {
    markup,  ///< ours: markers written out in it are tokens
    text,    ///< anybody's: only text
    tokens,  ///< already encoded
  };
  Kind kind = Kind::text;
  std::string text;
  std::vector<inference::TokenId> tokens;
  bool by_model = false;        ///< what a model writes: reasoning, answer, calls, end token
  bool behind_thought = false;  ///< of tokens: only those behind the end of the thought count
};
using Prompt = std::vector<PromptPiece>;

/// Ready for the model to go on when the last message is not an assistant's. Errors
/// (invalid_input): an unknown task.
Result<Prompt> render_prompt(std::span<const PromptMessage> messages, const PromptTexts& texts,
                             const PromptOptions& options);

/// The tools block, without the blank lines in front of it.
Prompt render_tools(std::span<const Json> tools, const PromptTexts& texts);

/// All pieces in one string, as the official encoder gives it; without those that are tokens.
std::string text_of(const Prompt& prompt);

}  // namespace sable::agent
