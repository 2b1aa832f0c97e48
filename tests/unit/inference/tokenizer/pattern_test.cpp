#include "inference/tokenizer/pattern.h"

#include <catch2/catch.hpp>

#include "inference/tokenizer/byte_alphabet.h"
#include "inference/tokenizer/newer_characters.h"
#include "inference/tokenizer/pattern_dialect.h"
#include "inference/tokenizer/utf8_scan.h"

using namespace sable;
using namespace sable::inference;

namespace {

/// The matches in `text`, each in brackets.
std::string marked(const std::string& expression, const std::string& text) {
  const auto translated = pcre2_from_oniguruma(expression);
  INFO(expression);
  REQUIRE(translated);
  const auto pattern = Pattern::regex(*translated);
  REQUIRE(pattern);
  PatternScratch scratch;
  std::vector<TextRange> matches;
  REQUIRE(pattern->find_all(text, scratch, matches));
  std::string out;
  size_t done = 0;
  for (const TextRange m : matches) {
    out += text.substr(done, m.begin - done) + "[" + text.substr(m.begin, m.end - m.begin) + "]";
    done = m.end;
  }
  return out + text.substr(done);
}

}  // namespace

TEST_CASE("expressions mean in PCRE2 what they mean in Oniguruma") {
  CHECK(marked("\\s", "a b\u180E\u0085c") == "a[ ]b\u180E[\u0085]c");
  CHECK(marked("\\h+", "x0aF g") == "x[0aF] g");
  CHECK(marked("\\v", "a\vb\nc") == "a[\v]b\nc");
  CHECK(marked("\\w+", "e\u0301 a_1²-") == "[e\u0301] [a_1²]-");
  CHECK(marked("^b$", "a\nb\nc") == "a\n[b]\nc");
  CHECK(marked("(?m:a.b)|c.d", "a\nb c\nd") == "[a\nb] c\nd");
  CHECK(marked("a{,2}b", "b ab aab aaab") == "[b] [ab] [aab] a[aab]");
  CHECK(marked("{a{b}", "{a{b}") == "[{a{b}]");
  CHECK(marked("\\p{Han}+", "漢字、かな") == "[漢字]、かな");
  CHECK(marked("\\p{Uppercase_Letter}\\p{^L}", "A1 Ab") == "[A1] Ab");
  CHECK(marked("[]a]", "]ab") == "[]][a]b");
  CHECK(marked("\\u4e00|\\x41|\\x{1F44D}", "一A👍") == "[一][A][👍]");
}

TEST_CASE("an empty match counts, but not directly behind a match") {
  CHECK(marked("x*", "axxb") == "[]a[xx]b[]");
  CHECK(marked("(?=[A-Z])", "aBcD") == "a[]Bc[]D");
  CHECK(marked("\\b", "é ü") == "[]é[] []ü[]");
  CHECK(marked("x*", "") == "[]");
}

TEST_CASE("what has no counterpart is refused with its place") {
  const std::pair<std::string, std::string> cases[] = {
      {"ab[c[d]]", "a character class inside a character class at byte 4 of the expression"},
      {"[a&&b]", "an intersection of character classes at byte 2 of the expression"},
      {"[\\W]", "the escape \\W at byte 1 of the expression"},
      {"[ab", "a character class without its closing bracket at byte 3 of the expression"},
      {"\\K", "the escape \\K at byte 0 of the expression"},
      {"\\C", "the escape \\C at byte 0 of the expression"},
      {"a\\", "a backslash with nothing behind it at byte 1 of the expression"},
      {"\\p{Klingon}", "the unknown property \"Klingon\" at byte 0 of the expression"},
      {"\\p{a}\\d{2})}", "the unknown property \"a\" at byte 0 of the expression"},
      {"\\pL", "a property without braces at byte 0 of the expression"},
      {"(*UCP)a", "(* at byte 0 of the expression"},
      {"(?~a)", "the group (?~ at byte 0 of the expression"},
      {"(?#x)", "the group (?# at byte 0 of the expression"},
      {"a(?i)b", "flags in the middle of a group at byte 1 of the expression"},
      {"a{2}+", "a quantifier behind an interval at byte 1 of the expression"},
      {"\\xFF", "\\x that is not followed by 00 to 7F at byte 0 of the expression"},
      {"\\u12", "\\u without four hexadecimal digits at byte 0 of the expression"},
      {"[[:graph:]]",
       "a POSIX bracket other than alpha, alnum, digit, space, upper, lower, xdigit, word at "
       "byte 1 of the expression"},
  };
  for (const auto& [expression, message] : cases) {
    const auto translated = pcre2_from_oniguruma(expression);
    INFO(expression);
    REQUIRE_FALSE(translated);
    CHECK(translated.error().code == ErrorCode::unsupported);
    CHECK(translated.error().message == message);
  }
}

TEST_CASE("plain text is found as it stands") {
  const auto pattern = Pattern::literal("a.a");
  REQUIRE(pattern);
  PatternScratch scratch;
  std::vector<TextRange> matches;
  REQUIRE(pattern->find_all("a.a.a a.axa", scratch, matches));
  CHECK(matches == std::vector<TextRange>{{0, 3}, {6, 9}});
  CHECK_FALSE(Pattern::literal(""));
}

TEST_CASE("the byte alphabet holds every byte once") {
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  const std::string text = to_byte_alphabet(all);
  CHECK(from_byte_alphabet(text) == all);
  CHECK(to_byte_alphabet(" \n!\x7F") == "ĠĊ!ġ");
  CHECK_FALSE(from_byte_alphabet("a b"));
  CHECK_FALSE(from_byte_alphabet("\u0144"));
  CHECK_FALSE(from_byte_alphabet("\xC4"));
}

TEST_CASE("newer characters get stand-ins of the same length") {
  std::string out = "untouched";
  CHECK_FALSE(write_stand_ins("plain, 漢字, 👍", out));
  CHECK(out == "untouched");
  REQUIRE(write_stand_ins("a\U0001FA77漢\u2FFCz", out));
  CHECK(out == "a\U0001F600漢\u2600z");
}

TEST_CASE("UTF-8 sequences are told from what only looks like them") {
  CHECK(utf8_length("é") == 2);
  for (const char* bad :
       {"", "\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3", "\xE4\xBD", "\xC3("}) {
    CHECK(utf8_length(bad) == 0);
  }
  for (const char* start : {"\xC3", "\xE4", "\xE4\xBD", "\xF0\x9F\x91"})
    CHECK(utf8_could_continue(start));
  for (const char* other : {"", "a", "é", "\x80", "\xE0\x80", "\xED\xA0", "\xF4\x90", "\xFF"}) {
    CHECK_FALSE(utf8_could_continue(other));
  }
  CHECK(utf8_last("aé") == "é");
  CHECK(utf8_last("\xC3\xC3") == "");
  CHECK(utf8_valid_prefix("abcdefghijé\xC3x") == 12);
}
