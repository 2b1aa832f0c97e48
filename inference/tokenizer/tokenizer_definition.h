// What a tokenizer is made of, whichever file it came from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "inference/tokenizer/token.h"

namespace sable::inference {

/// What a split does with the text that its pattern matches and with the gaps between matches.
enum class SplitBehaviour {
  removed,               ///< gaps become pieces, matches vanish
  isolated,              ///< gaps and matches become pieces
  merged_with_previous,  ///< a match joins the gap before it
  merged_with_next,      ///< a match joins the gap after it
  contiguous,            ///< like isolated, but neighbouring matches form one piece
};

/// One step of the pre-tokenizer; each runs on every piece that the step before it left, alone.
struct PreTokenizerStep {
  enum class Kind {
    split,          ///< cut at a pattern
    prefix_space,   ///< put a space in front of each piece that does not start with one
    byte_alphabet,  ///< rewrite the text in the byte alphabet (byte_alphabet.h); at most once
  };
  Kind kind = Kind::split;
  bool literal = false;  ///< `pattern` is plain text instead of a regular expression
  std::string pattern;   ///< a regular expression as PCRE2 reads it (pattern.h)
  SplitBehaviour behaviour = SplitBehaviour::isolated;
  bool invert = false;  ///< gaps are treated as matches and matches as gaps
  std::string origin;   ///< where the file says so, for messages; not part of the fingerprint
};

/// A token that is found in the text as it stands, before anything else.
struct AddedToken {
  TokenId id = 0;
  std::string content;       ///< UTF-8, not in the byte alphabet
  bool special = false;      ///< not shown to people when special tokens are left out
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< swallows white space before it
  bool rstrip = false;       ///< swallows white space after it
  bool normalized = false;   ///< looked for after all tokens that are not
};

/// One merge of the byte-pair encoding; its rank is its place in the list.
struct Merge {
  TokenId left = 0, right = 0, result = 0;
};

/// One entry of the vocabulary.
struct VocabularyEntry {
  enum class Kind {
    absent,   ///< no token has this id
    pieces,   ///< `bytes` are what byte-pair encoding may produce
    literal,  ///< stands for its bytes when decoded; byte-pair encoding cannot produce it
  };
  Kind kind = Kind::absent;
  std::string bytes;
};

/// A whole tokenizer; Tokenizer::create() checks it.
struct TokenizerDefinition {
  std::vector<VocabularyEntry> vocabulary;  ///< by id; an added token outside it is `absent` here
  std::vector<Merge> merges;                ///< best first
  bool ignore_merges = false;  ///< a piece that is a token as a whole becomes it at once
  std::vector<AddedToken> added_tokens;
  std::vector<PreTokenizerStep> steps;
  std::optional<TokenId> bos, eos;
};

/// The largest vocabulary that is accepted, about ten times the largest in use.
constexpr size_t kVocabularyMax = size_t{1} << 22;

/// SHA-256 over everything above that can change an id or a byte.
Digest fingerprint_of(const TokenizerDefinition& definition);

}  // namespace sable::inference
