// Cuts text into the pieces that byte-pair encoding then works on, one by one.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/tokenizer/pattern.h"
#include "inference/tokenizer/tokenizer_definition.h"

namespace sable::inference {

/// Longest text that is cut at once; positions in it have 32 bits.
constexpr size_t kPreTokenizerBytesMax = size_t{1} << 30;

/// Runs the steps of a definition. Immutable and thread-safe.
class PreTokenizer {
 public:
  /// Errors name the step's origin.
  static Result<PreTokenizer> create(std::span<const PreTokenizerStep> steps);

  /// The buffers of one call after another; one for each thread.
  struct Scratch {
    PatternScratch pattern;
    std::vector<TextRange> pieces, next, matches;
    std::vector<std::pair<TextRange, bool>> tiles;
    std::string rewritten, buffer, with_stand_ins;
  };

  /// Calls `take(std::string_view)` for every piece in order; none is empty. Pieces are bytes of
  /// the text (not in the byte alphabet) and valid during that call only. `text`: well-formed
  /// UTF-8, at most kPreTokenizerBytesMax.
  template <class Take>
  Result<void> split(std::string_view text, Scratch& scratch, Take&& take) const {
    SABLE_TRY(const std::string_view cut, run(text, scratch));
    for (const TextRange piece : scratch.pieces) {
      take(cut.substr(piece.begin, piece.end - piece.begin));
    }
    return {};
  }

 private:
  struct Step {
    PreTokenizerStep::Kind kind;
    SplitBehaviour behaviour;
    bool invert;
    std::shared_ptr<const Pattern> pattern;  // for split
    std::string origin;
  };

  /// Leaves the pieces in scratch.pieces; returns the text that they are ranges of.
  Result<std::string_view> run(std::string_view text, Scratch& scratch) const;

  static Result<void> split_piece(const Step& step, std::string_view text, TextRange piece,
                                  Scratch& scratch);

  std::vector<Step> steps_;
};

}  // namespace sable::inference
