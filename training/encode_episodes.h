// Episodes as the token sequences that the agent's own prompt encoding makes of them.
#pragma once

#include <span>

#include "training/dataset.h"
#include "training/episode.h"

namespace sable::training {

/// What the model reads and writes in an episode; mistakes are not marked as its own. Errors: the
/// tokenizer lacks a token of structure.
Result<Sequence> encode(const Episode& episode, const agent::PromptTexts& texts,
                        const inference::Tokenizer& tokenizer);

/// All episodes of a file of JSON lines, encoded on several threads; families in order of first
/// appearance. `count_max` 0: all.
Result<Dataset> read_dataset(const std::filesystem::path& file, const agent::PromptTexts& texts,
                             const inference::Tokenizer& tokenizer, size_t n_threads,
                             size_t count_max = 0);

/// The episode as text between tokens of structure, piece by piece: what a tokenizer is trained on.
Result<std::vector<std::string>> texts_between_tokens(const Episode& episode,
                                                      const agent::PromptTexts& texts);

/// Texts that the agent's prompts and the tools repeat word for word.
std::vector<std::string> fixed_phrases(const AgentPack& pack);

/// Ids for copy problems: every token that holds text, but for the bytes.
CopyTokens copy_tokens(const inference::Tokenizer& tokenizer);

/// Words of names that are one token, unless so many of the sequences hold them that they must be
/// words of the language or of requests too.
NameTokens name_tokens(const inference::Tokenizer& tokenizer, const Dataset& training);

}  // namespace sable::training
