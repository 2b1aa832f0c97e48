#include "inference/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "inference/tokenizer/byte_alphabet.h"
#include "inference/tokenizer/newer_characters.h"

namespace sable::inference {

namespace {

using Tile = std::pair<TextRange, bool>;  // a stretch of the text, and whether it is a match

void add_piece(std::vector<TextRange>& pieces, TextRange piece) {
  if (piece.begin != piece.end) pieces.push_back(piece);
}

/// Turns tiles, which cover the text without a gap, into pieces. An empty match is a tile of its
/// own: it leaves no piece, but parts what stands around it.
void add_pieces(std::span<const Tile> tiles, SplitBehaviour behaviour,
                std::vector<TextRange>& pieces) {
  const size_t n = tiles.size();
  switch (behaviour) {
    case SplitBehaviour::isolated:
      for (const auto& [range, match] : tiles) add_piece(pieces, range);
      return;
    case SplitBehaviour::removed:
      for (const auto& [range, match] : tiles) {
        if (!match) add_piece(pieces, range);
      }
      return;
    case SplitBehaviour::contiguous:
      for (size_t i = 0, end = 0; i < n; i = end) {
        for (end = i + 1; end < n && tiles[end].second == tiles[i].second;) ++end;
        add_piece(pieces, {tiles[i].first.begin, tiles[end - 1].first.end});
      }
      return;
    case SplitBehaviour::merged_with_previous:
      // A gap takes the one match behind it; a match behind a match stays alone.
      for (size_t i = 0; i < n; ++i) {
        const bool takes = !tiles[i].second && i + 1 < n && tiles[i + 1].second;
        add_piece(pieces, {tiles[i].first.begin, tiles[i + takes].first.end});
        i += takes;
      }
      return;
    case SplitBehaviour::merged_with_next:
      // A match is taken by the gap behind it; a match before a match stays alone.
      for (size_t i = 0; i < n; ++i) {
        const bool taken = tiles[i].second && i + 1 < n && !tiles[i + 1].second;
        add_piece(pieces, {tiles[i].first.begin, tiles[i + taken].first.end});
        i += taken;
      }
      return;
  }
}

}  // namespace

Result<PreTokenizer> PreTokenizer::create(std::span<const PreTokenizerStep> steps) {
  PreTokenizer made;
  bool in_byte_alphabet = false;
  for (const PreTokenizerStep& step : steps) {
    Step built{step.kind, step.behaviour, step.invert, nullptr, step.origin};
    if (step.kind == PreTokenizerStep::Kind::split) {
      auto pattern = step.literal ? Pattern::literal(step.pattern) : Pattern::regex(step.pattern);
      if (!pattern) return fail_in(step.origin, std::move(pattern.error()));
      built.pattern = std::make_shared<const Pattern>(std::move(*pattern));
    } else if (step.kind == PreTokenizerStep::Kind::byte_alphabet) {
      if (in_byte_alphabet) {
        return fail(ErrorCode::unsupported,
                    fmt::format("{}: a second ByteLevel would rewrite the first one's letters",
                                step.origin));
      }
      in_byte_alphabet = true;
    }
    made.steps_.push_back(std::move(built));
  }
  // Bytes are what byte-pair encoding works on, so a rewriting that no later step sees need not be
  // done.
  while (!made.steps_.empty() && made.steps_.back().kind == PreTokenizerStep::Kind::byte_alphabet) {
    made.steps_.pop_back();
  }
  return made;
}

Result<std::string_view> PreTokenizer::run(std::string_view text, Scratch& scratch) const {
  SABLE_CHECK(text.size() <= kPreTokenizerBytesMax);
  std::vector<TextRange>& pieces = scratch.pieces;
  pieces.clear();
  if (!text.empty()) pieces.push_back({0, static_cast<uint32_t>(text.size())});

  // What patterns see in place of the text; positions are the same.
  std::string_view seen;
  const auto look = [&] {
    seen = write_stand_ins(text, scratch.with_stand_ins) ? scratch.with_stand_ins : text;
  };
  look();

  // Replaces every piece's text by change(piece) and the text by their concatenation.
  const auto rewrite = [&](auto&& change) {
    scratch.buffer.clear();
    for (TextRange& piece : pieces) {
      const size_t begin = scratch.buffer.size();
      change(text.substr(piece.begin, piece.end - piece.begin), scratch.buffer);
      piece = {static_cast<uint32_t>(begin), static_cast<uint32_t>(scratch.buffer.size())};
    }
    std::swap(scratch.buffer, scratch.rewritten);
    text = scratch.rewritten;
    look();
  };

  bool in_byte_alphabet = false;
  for (const Step& step : steps_) {
    switch (step.kind) {
      case PreTokenizerStep::Kind::split:
        scratch.next.clear();
        for (const TextRange piece : pieces) {
          auto done = split_piece(step, seen, piece, scratch);
          if (!done) return fail_in(step.origin, std::move(done.error()));
        }
        std::swap(pieces, scratch.next);
        break;
      case PreTokenizerStep::Kind::prefix_space:
        rewrite([](std::string_view piece, std::string& out) {
          if (!piece.starts_with(' ')) out.push_back(' ');
          out += piece;
        });
        break;
      case PreTokenizerStep::Kind::byte_alphabet:
        rewrite([](std::string_view piece, std::string& out) { out += to_byte_alphabet(piece); });
        in_byte_alphabet = true;
        break;
    }
    if (text.size() > kPreTokenizerBytesMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: the rewritten text is too long", step.origin));
    }
  }
  if (in_byte_alphabet) {
    rewrite([](std::string_view piece, std::string& out) {
      const auto bytes = from_byte_alphabet(piece);
      SABLE_CHECK(bytes.has_value());  // steps cut between characters only
      out += *bytes;
    });
  }
  return text;
}

Result<void> PreTokenizer::split_piece(const Step& step, std::string_view text, TextRange piece,
                                       Scratch& scratch) {
  scratch.matches.clear();
  const std::string_view inside = text.substr(piece.begin, piece.end - piece.begin);
  SABLE_TRY_VOID(step.pattern->find_all(inside, scratch.pattern, scratch.matches));

  scratch.tiles.clear();
  uint32_t covered = 0;
  for (const TextRange match : scratch.matches) {
    if (match.begin != covered) {
      scratch.tiles.push_back({{piece.begin + covered, piece.begin + match.begin}, step.invert});
    }
    scratch.tiles.push_back({{piece.begin + match.begin, piece.begin + match.end}, !step.invert});
    covered = match.end;
  }
  if (covered != inside.size()) {
    scratch.tiles.push_back({{piece.begin + covered, piece.end}, step.invert});
  }
  add_pieces(scratch.tiles, step.behaviour, scratch.next);
  return {};
}

}  // namespace sable::inference
