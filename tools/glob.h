// File name patterns as git and ripgrep read them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace sable::tools {

/// A compiled pattern: "*" and "?" stay within a path part, "[a-z]" and "[!a-z]" are classes, a
/// backslash quotes, "**/" stands for any folders and a final "**" for anything. Matching costs at
/// most pattern length times path length.
class Glob {
 public:
  explicit Glob(std::string_view pattern);

  /// Whether the whole of `path` ("src/main.cpp", no leading "./") matches.
  bool matches(std::string_view path) const;

 private:
  enum class Kind : uint8_t {
    byte,
    any_byte,    ///< "?"
    byte_class,  ///< "[...]"
    star,        ///< "*"
    anything,    ///< a final "**"
    folders,     ///< "**/" at the start of a part
    in_folder,   ///< inside of what "**/" stands for
  };
  struct Token {
    Kind kind;
    char byte = 0;
    bool negated = false;
    std::vector<std::pair<unsigned char, unsigned char>> ranges;  ///< of a class
  };
  using States = std::vector<uint8_t>;

  void add_class(std::string_view pattern, size_t& at);
  void enter(States& states, size_t state) const;

  std::vector<Token> tokens_;
};

}  // namespace sable::tools
