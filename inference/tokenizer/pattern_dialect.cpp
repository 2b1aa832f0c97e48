#include "inference/tokenizer/pattern_dialect.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "inference/tokenizer/pattern.h"
#include "inference/tokenizer/utf8_scan.h"

namespace sable::inference {

namespace {

// Members of \w, written as the inside of a class: inside a class, and outside, where Oniguruma
// goes by a table of its own for Latin-1 and adds superscript digits and fractions.
constexpr std::string_view kWordInClass = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xb2\xb3\xb9\xbc-\xbe)";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

/// Long names of the general categories (Unicode, PropertyValueAliases.txt), loosely matched, and
/// the POSIX bracket names that are one property (doc/RE of Oniguruma).
constexpr std::pair<std::string_view, std::string_view> kPropertyNames[] = {
    {"letter", "L"},
    {"casedletter", "L&"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"other", "C"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"surrogate", "Cs"},
    {"privateuse", "Co"},
    {"unassigned", "Cn"},
    {"any", "Any"},
    {"alpha", "Alphabetic"},
    {"space", "White_Space"},
    {"digit", "Nd"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
};

constexpr std::string_view kCategories =
    "C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc "
    "Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs ";

class Translator {
 public:
  explicit Translator(std::string_view expression) : in_(expression) {}

  Result<std::string> run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        SABLE_TRY_VOID(escape());
      } else if (c == '[') {
        SABLE_TRY_VOID(character_class());
      } else if (c == '(') {
        SABLE_TRY_VOID(group());
      } else if (c == '{') {
        SABLE_TRY_VOID(interval());
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  char peek(size_t ahead) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  void copy(size_t n) {
    out_ += in_.substr(at_, n);
    at_ = std::min(in_.size(), at_ + n);
  }
  void replace(size_t n, std::string_view with) {
    out_ += with;
    at_ += n;
  }
  tl::unexpected<Error> unsupported(std::string_view what) const {
    return fail(ErrorCode::unsupported, fmt::format("{} at byte {} of the expression", what, at_));
  }

  Result<void> escape() {
    const char c = peek(1);
    switch (c) {
      case 'w':
        replace(2, fmt::format("[{}]", kWord));
        return {};
      case 'W':
        replace(2, fmt::format("[^{}]", kWord));
        return {};
      case 'h':
        replace(2, fmt::format("[{}]", kHexDigit));
        return {};
      case 'H':
        replace(2, fmt::format("[^{}]", kHexDigit));
        return {};
      case 'b':
        replace(2, fmt::format("(?:(?<![{0}])(?=[{0}])|(?<=[{0}])(?![{0}]))", kWord));
        return {};
      case 'B':
        replace(2, fmt::format("(?:(?<![{0}])(?![{0}])|(?<=[{0}])(?=[{0}]))", kWord));
        return {};
      case 'A':
      case 'z':
      case 'Z':
      case 'R':
        copy(2);
        return {};
      default:
        break;
    }
    if (c >= '1' && c <= '9') {  // a back reference
      copy(2);
      return {};
    }
    return common_escape();
  }

  Result<void> class_escape() {
    switch (peek(1)) {
      case 'w':
        replace(2, kWordInClass);
        return {};
      case 'h':
        replace(2, kHexDigit);
        return {};
      case 'b':
        copy(2);
        return {};  // backspace
      default:
        return common_escape();
    }
  }

  /// Escapes that mean the same inside a class and outside.
  Result<void> common_escape() {
    const char c = peek(1);
    switch (c) {
      case 's':
        replace(2, R"(\p{White_Space})");
        return {};
      case 'S':
        replace(2, R"(\P{White_Space})");
        return {};
      case 'v':
        replace(2, R"(\x0b)");
        return {};
      case 'd':
      case 'D':
      case 't':
      case 'n':
      case 'r':
      case 'f':
      case 'a':
      case 'e':
        copy(2);
        return {};
      case 'p':
      case 'P':
        return property();
      case 'u':
        for (size_t i = 2; i < 6; ++i) {
          if (!is_hex(peek(i))) return unsupported("\\u without four hexadecimal digits");
        }
        replace(6, fmt::format("\\x{{{}}}", in_.substr(at_ + 2, 4)));
        return {};
      case 'x':
        return code_point();
      default:
        break;
    }
    if (at_ + 1 >= in_.size()) return unsupported("a backslash with nothing behind it");
    if (is_letter(c) || is_digit(c)) return unsupported(fmt::format("the escape \\{}", c));
    // Any other character, of however many bytes, stands for itself.
    copy(1 + std::max<size_t>(1, utf8_length(in_.substr(at_ + 1))));
    return {};
  }

  Result<void> code_point() {
    if (peek(2) == '{') {
      size_t n = 3;
      while (is_hex(peek(n))) ++n;
      if (n == 3 || peek(n) != '}')
        return unsupported("\\x{ without hexadecimal digits and a brace");
      copy(n + 1);
      return {};
    }
    // Above 7F Oniguruma means a byte of the encoded text there, not a character.
    if (!is_hex(peek(2)) || !is_hex(peek(3)) || peek(2) > '7') {
      return unsupported("\\x that is not followed by 00 to 7F");
    }
    copy(4);
    return {};
  }

  Result<void> property() {
    const size_t close = in_.find('}', at_);
    if (peek(2) != '{' || close == in_.npos) return unsupported("a property without braces");
    std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    bool negated = in_[at_ + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    SABLE_TRY(const std::string known, property_name(name));
    replace(close + 1 - at_, fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', known));
    return {};
  }

  /// The name by which PCRE2 knows the property.
  Result<std::string> property_name(std::string_view name) const {
    const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == ' ';
    });
    if (!plain || name.size() > 60) return unsupported("a property of no known name");
    std::string loose;
    for (const char c : name) {
      if (is_letter(c) || is_digit(c)) {
        loose.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
      }
    }
    for (const auto& [long_name, short_name] : kPropertyNames) {
      if (loose == long_name) return std::string(short_name);
    }
    if (!loose.empty() && loose.size() <= 2) {
      std::string category = loose;
      category[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(category[0])));
      if (kCategories.find(category + " ") != kCategories.npos) return category;
    }
    // A script means the characters of that script, not those that the script also uses.
    for (const std::string& candidate : {fmt::format("sc:{}", loose), loose}) {
      if (Pattern::regex(fmt::format("\\p{{{}}}", candidate))) return candidate;
    }
    return unsupported(fmt::format("the unknown property \"{}\"", name));
  }

  Result<void> character_class() {
    copy(1);
    if (peek(0) == '^') copy(1);
    if (peek(0) == ']') replace(1, "\\]");  // first in a class it stands for itself
    while (at_ < in_.size() && in_[at_] != ']') {
      const char c = in_[at_];
      if (c == '\\') {
        SABLE_TRY_VOID(class_escape());
      } else if (c == '[' && peek(1) == ':') {
        SABLE_TRY_VOID(posix_bracket());
      } else if (c == '[') {
        return unsupported("a character class inside a character class");
      } else if (c == '&' && peek(1) == '&') {
        return unsupported("an intersection of character classes");
      } else {
        copy(1);
      }
    }
    if (at_ == in_.size()) return unsupported("a character class without its closing bracket");
    copy(1);
    return {};
  }

  Result<void> posix_bracket() {
    constexpr std::pair<std::string_view, std::string_view> kBrackets[] = {
        {"[:alpha:]", R"(\p{Alphabetic})"}, {"[:alnum:]", R"(\p{Alphabetic}\p{Nd})"},
        {"[:digit:]", R"(\p{Nd})"},         {"[:space:]", R"(\p{White_Space})"},
        {"[:upper:]", R"(\p{Uppercase})"},  {"[:lower:]", R"(\p{Lowercase})"},
        {"[:xdigit:]", kHexDigit},          {"[:word:]", kWordInClass},
    };
    for (const auto& [bracket, members] : kBrackets) {
      if (in_.substr(at_).starts_with(bracket)) {
        replace(bracket.size(), members);
        return {};
      }
    }
    return unsupported(
        "a POSIX bracket other than alpha, alnum, digit, space, upper, lower, xdigit, word");
  }

  Result<void> group() {
    if (peek(1) == '*') return unsupported("(*");
    if (peek(1) != '?') {
      copy(1);
      return {};
    }
    const char kind = peek(2);
    if (kind == ':' || kind == '=' || kind == '!' || kind == '>') {
      copy(3);
      return {};
    }
    if (kind == '<' && (peek(3) == '=' || peek(3) == '!' || is_letter(peek(3)))) {
      copy(4);
      return {};
    }
    return flags();
  }

  /// `(?i)`, `(?i:`, `(?m-i:` ...: m is what others call s, the dot that matches a newline.
  Result<void> flags() {
    size_t n = 2;
    std::string translated = "(?";
    for (; peek(n) == 'i' || peek(n) == 'm' || peek(n) == '-'; ++n) {
      translated.push_back(peek(n) == 'm' ? 's' : peek(n));
    }
    if (n == 2 || (peek(n) != ':' && peek(n) != ')')) {
      return unsupported(fmt::format("the group (?{}", utf8_length(in_.substr(at_ + 2)) == 1
                                                           ? std::string(1, peek(2))
                                                           : std::string()));
    }
    // Elsewhere than at the start of an alternative, flags without a colon would also enclose the
    // alternatives to come.
    const bool at_start = out_.empty() || out_.ends_with("(?:") ||
                          (out_.ends_with('|') && !out_.ends_with("\\|")) || out_ == "(";
    if (peek(n) == ')' && !at_start) return unsupported("flags in the middle of a group");
    translated.push_back(peek(n));
    replace(n + 1, translated);
    return {};
  }

  /// `{n}`, `{n,}`, `{n,m}`, `{,m}`; any other brace stands for itself.
  Result<void> interval() {
    size_t n = 1;
    while (is_digit(peek(n))) ++n;
    const bool low = n > 1;
    const bool comma = peek(n) == ',';
    if (comma) ++n;
    const size_t high_at = n;
    while (is_digit(peek(n))) ++n;
    const bool high = comma && n > high_at;
    if (peek(n) != '}' || (!low && !high)) {
      replace(1, "\\{");
      return {};
    }
    const char next = peek(n + 1);
    if (next == '+' || (next == '?' && !comma)) {
      return unsupported("a quantifier behind an interval");
    }
    if (low) {
      copy(n + 1);
    } else {
      out_ += "{0";
      ++at_;
      copy(n);
    }
    return {};
  }

  std::string_view in_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

Result<std::string> pcre2_from_oniguruma(std::string_view expression) {
  return Translator(expression).run();
}

}  // namespace sable::inference
