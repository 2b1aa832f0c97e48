// The fixed English texts in a model's prompts: they belong to the model and are read from its
// files.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::agent {

/// Each text may contain markers (agent/prompt/markers.h), which become tokens.
struct PromptTexts {
  std::string tools_head, tools_tail;  ///< before the first and behind the last tool schema
  std::string response_format_head, response_format_tail;  ///< around the schema of an answer
  std::string effort_high, effort_max;  ///< put before everything at that effort; may be empty
  std::string source;                   ///< where they came from, for people

  friend bool operator==(const PromptTexts&, const PromptTexts&) = default;
};

/// Reads the form that lies beside weights as prompt.yaml (docs/model-formats.md): `tools` with
/// {tool_schemas} in it, and optionally `response_format` with {schema}, `effort_high`,
/// `effort_max`. Errors begin with NAME:LINE:COLUMN.
Result<PromptTexts> parse_prompt_texts(std::string_view yaml, std::string_view name);

/// Takes the texts out of the Python file that comes with official weights
/// (encoding/encoding_dsv4.py). A text counts only when its SHA-256 is a known one; not_found when
/// the tools text is not there.
Result<PromptTexts> prompt_texts_from_official(std::string_view python, std::string_view name);

/// The texts of the model at `weights` (a folder of safetensors or a GGUF file): prompt.yaml beside
/// the weights (for a GGUF: NAME.prompt.yaml beside NAME.gguf), else the official file where it is
/// known, else `fallback`, whose source then says why. Errors: a prompt.yaml that cannot be read or
/// is malformed.
Result<PromptTexts> load_prompt_texts(const std::filesystem::path& weights, PromptTexts fallback);

}  // namespace sable::agent
