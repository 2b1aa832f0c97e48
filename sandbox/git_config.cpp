#include "sandbox/git_config.h"

#include <optional>

namespace sable::sandbox {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_name_character(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\f' || c == '\v' || c == '\r'; }

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  }

  std::vector<GitSetting> read() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n' || is_blank(c)) {
        ++at_;
      } else if (c == '#' || c == ';') {
        skip_line();
      } else {
        const size_t begin = at_;
        if (c == '[' ? read_section() : is_name_character(c) && read_setting()) continue;
        // What follows a broken line is read, whatever git makes of it.
        if (text_.substr(begin, at_ - begin).find('\n') == std::string_view::npos) skip_line();
      }
    }
    return std::move(settings_);
  }

 private:
  // The next character; a line's end is one whichever way it is written, and the text ends with it.
  char next() {
    if (at_ >= text_.size()) return '\n';
    if (text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++at_;
    return text_[at_++];
  }
  char peek() {
    const size_t before = at_;
    const char c = next();
    at_ = before;
    return c;
  }
  void skip_line() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(peek())) ++at_;
  }

  // `[name]`, `[name "sub"]`, or the old `[name.sub]`.
  bool read_section() {
    section_.clear();
    ++at_;
    while (at_ < text_.size() && (is_name_character(text_[at_]) || text_[at_] == '.')) {
      section_ += lower(text_[at_++]);
    }
    if (peek() == ']') {
      ++at_;
      return true;
    }
    skip_blanks();
    if (next() != '"') return false;
    section_ += '.';
    while (true) {
      char c = next();
      if (c == '\n') return false;
      if (c == '"') break;
      if (c == '\\' && (c = next()) == '\n') return false;
      section_ += c;
    }
    return next() == ']';
  }

  bool read_setting() {
    std::string key = section_ + ".";
    while (at_ < text_.size() && is_name_character(text_[at_])) key += lower(text_[at_++]);
    skip_blanks();
    const char c = peek();
    if (c == '=') {
      ++at_;
      auto value = read_value();
      if (!value) return false;
      settings_.push_back({std::move(key), std::move(*value)});
      return true;
    }
    if (c != '\n' && c != '#' && c != ';') return false;
    settings_.push_back({std::move(key), "true"});  // a name alone
    return true;
  }

  // To the end of the line, which a backslash moves to the next one.
  std::optional<std::string> read_value() {
    std::string value;
    size_t kept = 0;  // blanks behind this are dropped unless something follows them
    bool quoted = false;
    skip_blanks();
    while (true) {
      char c = next();
      if (c == '\n') {
        if (quoted) return {};
        value.resize(kept);
        return value;
      }
      if (!quoted && (c == '#' || c == ';')) {
        skip_line();
        value.resize(kept);
        return value;
      }
      if (!quoted && is_blank(c)) {
        value += c;
        continue;
      }
      if (c == '"') {
        quoted = !quoted;
      } else if (c == '\\') {
        c = next();
        if (c == '\n') {
          if (at_ >= text_.size()) return value;
          continue;
        }
        const size_t escape = std::string_view("ntb\\\"").find(c);
        if (escape == std::string_view::npos) return {};
        value += "\n\t\b\\\""[escape];
      } else {
        value += c;
      }
      kept = value.size();
    }
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::string section_;
  std::vector<GitSetting> settings_;
};

}  // namespace

std::vector<GitSetting> parse_git_config(std::string_view text) { return Reader(text).read(); }

}  // namespace sable::sandbox
