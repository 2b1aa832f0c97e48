// Names for made-up code, and made-up sentences: words of training and of evaluation never meet.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace sable::evaluation {

/// Which half of the world an episode belongs to. Words, made-up stems and wordings are split by
/// hash: what one side uses, the other never does.
enum class Split { training, test };

Split split_of(std::string_view word);

/// The words that names are made of when they are not made up, of both sides, in lower case.
std::span<const std::string_view> plain_words();

enum class Style { snake, camel, pascal, upper };

/// Fresh names for one repository; none is given twice, and none is a keyword.
class Names {
 public:
  Names(Split split, Random& random);

  /// A name of `n_words` words, a quarter of them made up of syllables.
  std::string name(Style style, size_t n_words);
  /// A name that is easily taken for `name`: a word more, or another last word.
  std::string like(std::string_view name, Style style);
  std::string word();

 private:
  std::string fresh(std::string name);

  Split split_;
  Random& random_;
  std::vector<std::string> given_;
};

/// Expands a pattern: "{a|b|}" is one of the alternatives, nested ones included; "$x" stays for
/// fill(). Alternatives of the outermost braces are split between training and test by hash where
/// there are at least four.
std::string expand(std::string_view pattern, Split split, Random& random);

/// Replaces every $key by its value.
std::string fill(std::string text,
                 const std::vector<std::pair<std::string_view, std::string>>& values);

/// Joins words in a style: {"read", "buffer"} as readBuffer, ...
std::string styled(const std::vector<std::string>& words, Style style);

}  // namespace sable::evaluation
