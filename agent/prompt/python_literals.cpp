#include "agent/prompt/python_literals.h"

#include <algorithm>
#include <cctype>
#include <optional>

namespace sable::agent {

namespace {

bool is_word_byte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Reads literals one after the other.
class Scanner {
 public:
  explicit Scanner(std::string_view source) : source_(source) {}

  std::vector<std::string> run() {
    std::vector<std::string> found;
    std::optional<std::string> joined;
    const auto flush = [&] {
      if (joined) found.push_back(std::move(*joined));
      joined.reset();
    };
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '#') {
        at_ = std::min(source_.find('\n', at_), source_.size());
      } else if (c == '\n' && depth_ == 0) {
        flush();  // the statement ends
        ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        ++at_;
      } else if (c == '\\') {
        at_ += 2;  // the statement goes on in the next line
      } else if (const auto literal = literal_here()) {
        if (literal->counts) {
          joined = joined.value_or("") + literal->text;
        } else {
          flush();
        }
      } else {
        flush();
        if (c == '(' || c == '[' || c == '{') ++depth_;
        if ((c == ')' || c == ']' || c == '}') && depth_ > 0) --depth_;
        do ++at_;
        while (at_ < source_.size() && is_word_byte(source_[at_ - 1]) &&
               is_word_byte(source_[at_]));
      }
    }
    flush();
    return found;
  }

 private:
  struct Literal {
    std::string text;
    bool counts = true;
  };

  /// A literal that starts here, prefix included; at_ is then behind it.
  std::optional<Literal> literal_here() {
    size_t quote = at_;
    bool raw = false, counts = true;
    while (quote < source_.size() && quote < at_ + 2 && is_word_byte(source_[quote])) {
      const char prefix = static_cast<char>(std::tolower(source_[quote]));
      if (prefix == 'r') {
        raw = true;
      } else if (prefix == 'f' || prefix == 'b') {
        counts = false;
      } else if (prefix != 'u') {
        return std::nullopt;
      }
      ++quote;
    }
    if (quote >= source_.size() || (source_[quote] != '"' && source_[quote] != '\'')) {
      return std::nullopt;
    }
    const bool triple = source_.substr(quote, 3) == std::string(3, source_[quote]);
    const std::string end(triple ? 3 : 1, source_[quote]);
    at_ = quote + end.size();
    Literal literal{.counts = counts};
    while (at_ < source_.size() && source_.substr(at_, end.size()) != end) {
      if (source_[at_] == '\n' && !triple) return literal;  // never closed
      if (source_[at_] == '\\' && at_ + 1 < source_.size() && !raw) {
        escape(literal.text);
      } else {
        literal.text += source_[at_++];
      }
    }
    at_ = std::min(at_ + end.size(), source_.size());
    return literal;
  }

  void escape(std::string& out) {
    const char c = source_[at_ + 1];
    at_ += 2;
    switch (c) {
      case '\n':
        return;
      case 'n':
        out += '\n';
        return;
      case 't':
        out += '\t';
        return;
      case 'r':
        out += '\r';
        return;
      case '\\':
      case '\'':
      case '"':
        out += c;
        return;
      default:  // none of the texts in question has others
        out += '\\';
        out += c;
    }
  }

  std::string_view source_;
  size_t at_ = 0;
  int depth_ = 0;  // of brackets
};

}  // namespace

std::vector<std::string> python_string_literals(std::string_view source) {
  return Scanner(source).run();
}

}  // namespace sable::agent
