#include "inference/tokenizer/added_token_finder.h"

#include <algorithm>

#include "base/check.h"
#include "inference/tokenizer/utf8_scan.h"

namespace sable::inference {

namespace {

std::string_view first_sequence(std::string_view text) { return text.substr(0, utf8_length(text)); }

bool is_white_space_sequence(std::string_view sequence) {
  return !sequence.empty() && is_white_space(utf8_code_point(sequence));
}

}  // namespace

Result<AddedTokenFinder> AddedTokenFinder::create(std::vector<AddedToken> tokens) {
  AddedTokenFinder made;
  std::sort(tokens.begin(), tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    SABLE_CHECK(!tokens[i].content.empty());
    Group& group = made.by_first_byte_[static_cast<uint8_t>(tokens[i].content[0])];
    if (group.last == 0) group.first = i;
    group.last = i + 1;
    if (tokens[i].single_word && !made.word_character_) {
      // \w of Unicode Technical Standard 18, annex C.
      SABLE_TRY(made.word_character_,
                Pattern::regex(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}])"));
    }
  }
  made.tokens_ = std::move(tokens);
  return made;
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text, size_t at) const {
  // The tokens that begin with the bytes read so far are neighbours in the sorted list; each byte
  // narrows the range, and one that ends here is the first of it.
  const Group group = by_first_byte_[static_cast<uint8_t>(text[at])];
  auto first = tokens_.begin() + group.first, last = tokens_.begin() + group.last;
  const AddedToken* longest = nullptr;
  for (size_t depth = 1; first != last; ++depth) {
    if (first->content.size() == depth) longest = &*first++;
    if (at + depth >= text.size()) break;
    const auto byte = static_cast<uint8_t>(text[at + depth]);
    const auto byte_of = [&](const AddedToken& t) {
      return static_cast<uint8_t>(t.content[depth]);
    };
    first =
        std::partition_point(first, last, [&](const AddedToken& t) { return byte_of(t) < byte; });
    last =
        std::partition_point(first, last, [&](const AddedToken& t) { return byte_of(t) == byte; });
  }
  return longest;
}

bool AddedTokenFinder::touches_word(std::string_view text, size_t begin, size_t end) const {
  PatternScratch scratch;
  const auto is_word = [&](std::string_view sequence) {
    std::vector<TextRange> matches;
    return !sequence.empty() && word_character_->find_all(sequence, scratch, matches) &&
           !matches.empty();
  };
  return is_word(utf8_last(text.substr(0, begin))) || is_word(first_sequence(text.substr(end)));
}

void AddedTokenFinder::find_all(std::string_view text, std::vector<Found>& found) const {
  if (tokens_.empty()) return;
  size_t taken = 0;  // up to here the token found last has swallowed
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = longest_at(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->single_word && touches_word(text, begin, end)) continue;
    if (token->lstrip) {
      for (;;) {
        const std::string_view space =
            utf8_last(text.substr(0, begin).substr(std::min(taken, begin)));
        if (!is_white_space_sequence(space)) break;
        begin -= space.size();
      }
    }
    if (token->rstrip) {
      for (;;) {
        const std::string_view space = first_sequence(text.substr(end));
        if (!is_white_space_sequence(space)) break;
        end += space.size();
      }
    }
    // The search goes on behind the token itself: white space that it swallowed may hold another
    // one.
    found.push_back({begin, end, token->id});
    taken = end;
  }
}

}  // namespace sable::inference
