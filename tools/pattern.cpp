#define PCRE2_CODE_UNIT_WIDTH 8
#include "tools/pattern.h"

#include <pcre2.h>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::tools {

namespace {

constexpr size_t kSourceBytesMax = 8'192;
constexpr uint32_t kMatchStepsMax = 200'000;
constexpr uint32_t kMatchHeapKibMax = 4'096;

/// White space and line ends of ECMA-262, as the content of a class.
constexpr std::string_view kSpaces =
    "\\t\\n\\x0b\\f\\r\\x20\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff";

/// Rewrites what PCRE2 reads differently: \s and \S, $ before a final newline, \cX, \p names.
std::string to_pcre(std::string_view source) {
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    if (c == '\\' && i + 1 < source.size()) {
      const char next = source[++i];
      const std::string_view rest = source.substr(i);
      if (next == 's') {
        result += in_class ? std::string(kSpaces) : fmt::format("[{}]", kSpaces);
      } else if (next == 'S' && !in_class) {
        result += fmt::format("[^{}]", kSpaces);
      } else if (next == 'a' || next == 'e' || next == 'A' || next == 'Z' || next == 'z' ||
                 next == 'G' || next == 'Q' || next == 'E' || next == 'K') {
        result += next;  // ECMA-262 has no such escapes: they are the letters
      } else if (rest.starts_with("p{") || rest.starts_with("P{")) {
        // Long names of general categories, of which PCRE2 10.42 knows only the short ones.
        const size_t end = rest.find('}');
        std::string_view name = rest.substr(2, end == std::string_view::npos ? 0 : end - 2);
        constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {
            {"Letter", "L"},
            {"Lowercase_Letter", "Ll"},
            {"Uppercase_Letter", "Lu"},
            {"Number", "N"},
            {"Decimal_Number", "Nd"},
            {"digit", "Nd"},
            {"Punctuation", "P"},
            {"Symbol", "S"},
            {"Mark", "M"},
            {"Separator", "Z"},
            {"Space_Separator", "Zs"},
            {"Other", "C"}};
        std::string_view shorter = name;
        for (const auto& [longer, category] : kLongNames) {
          if (name == longer) shorter = category;
        }
        if (shorter.empty()) {
          result += '\\';
          result += next;
        } else {
          result += fmt::format("\\{}{{{}}}", next, shorter);
          i += end;
        }
      } else {
        result += '\\';
        result += next;
      }
      continue;
    }
    if (c == '[' && !in_class) {
      in_class = true;
    } else if (c == '[' && in_class) {
      result += '\\';  // no POSIX classes
    } else if (c == ']') {
      in_class = false;
    }
    result += c;
  }
  return result;
}

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
};

Result<Pattern> Pattern::compile(std::string_view source) {
  if (source.size() > kSourceBytesMax) {
    return fail(ErrorCode::invalid_input,
                fmt::format("a regular expression longer than {} bytes", kSourceBytesMax));
  }
  const std::string translated = to_pcre(source);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_shared<Code>();
  const uint32_t options = PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF |
                           PCRE2_ALLOW_EMPTY_CLASS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (!context) return fail(ErrorCode::exhausted, "no memory for a regular expression");
  pcre2_set_compile_extra_options(context.get(), PCRE2_EXTRA_ALT_BSUX);  // \u{...}
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                             options, &error, &offset, context.get());
  if (code->code == nullptr) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    return fail(ErrorCode::invalid_input,
                fmt::format("the regular expression \"{}\" is not valid: {}",
                            escape_controls(source), reinterpret_cast<const char*>(message)));
  }
  Pattern pattern;
  pattern.code_ = std::move(code);
  pattern.source_ = source;
  return pattern;
}

std::optional<bool> Pattern::found_in(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  if (!data || !context) return std::nullopt;
  pcre2_set_match_limit(context.get(), kMatchStepsMax);
  pcre2_set_heap_limit(context.get(), kMatchHeapKibMax);
  const int result = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                 text.size(), 0, 0, data.get(), context.get());
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  return std::nullopt;
}

}  // namespace sable::tools
